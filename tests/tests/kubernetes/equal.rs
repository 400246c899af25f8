//! Kustomize builds what the chart renders: whoever takes the one gets the other.

use crate::render::{Rendered, chart, kustomize, name, root, template};
use forebay_tests::yaml;
use serde_json::Value;
use std::collections::BTreeMap;

/// Each folder of Kustomize and the value set that it is equal to, as `deploy/README.md` has it.
const PAIRS: [(&str, &str); 4] = [
    ("base", "default-values.yaml"),
    ("overlays/dev", "dev-values.yaml"),
    ("overlays/prod", "prod-values.yaml"),
    ("overlays/durable", "durable-values.yaml"),
];

/// Labels that say which of the two made an object.
const MAKERS: [&str; 2] = ["helm.sh/chart", "app.kubernetes.io/managed-by"];

/// By which either rolls the pods when the configuration changes: the one by this annotation, the other by the
/// ConfigMap's name.
const CHECKSUM: &str = "checksum/config";

#[test]
fn kustomize_builds_what_the_chart_renders() {
    for (folder, values) in PAIRS {
        let built = objects(kustomize(&root().join("deploy/kustomize").join(folder)));
        let rendered = objects(template(&chart().join("ci").join(values), &[]));
        let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&built), names(&rendered), "{folder} and {values}");
        let mut differences = Vec::new();
        for (name, object) in &built {
            compare(name, object, &rendered[name], &mut differences);
        }
        assert!(differences.is_empty(), "{folder} and {values}:\n{}", differences.join("\n"));
    }
}

/// By name, without what only the one or the other has.
fn objects(rendered: Rendered) -> BTreeMap<String, Value> {
    let hashed = hashed_name(&rendered);
    let text = rendered.text.replace(&hashed, "forebay");
    let mut found = BTreeMap::new();
    for mut object in yaml::documents(&text).unwrap() {
        // Helm's tests are run by Helm.
        if object["metadata"]["annotations"].get("helm.sh/hook").is_none() {
            normalise(&mut object);
            let earlier = found.insert(name(&object), object);
            assert!(earlier.is_none(), "twice in {}: {earlier:?}", rendered.of);
        }
    }
    found
}

/// The name of the ConfigMap with the configuration: Kustomize adds a hash.
fn hashed_name(rendered: &Rendered) -> String {
    let maps = rendered.objects.iter().filter(|object| object["kind"] == "ConfigMap");
    let mut names = maps.map(|map| map["metadata"]["name"].as_str().unwrap().to_owned());
    let name = names.next().unwrap();
    assert!(name.starts_with("forebay") && names.next().is_none(), "{}: {name}", rendered.of);
    name
}

fn normalise(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for label in MAKERS {
                members.remove(label);
            }
            members.remove(CHECKSUM);
            // The text of a configuration is laid out as its writer likes.
            if let Some(Value::String(text)) = members.get("forebay.yaml") {
                let parsed = yaml::documents(text).unwrap().into();
                members.insert("forebay.yaml".to_owned(), parsed);
            }
            // Lists by name, in which the order says nothing: Kustomize puts what it patches first.
            for list in ["volumes", "volumeMounts"] {
                if let Some(Value::Array(items)) = members.get_mut(list) {
                    items.sort_by_key(|item| item["name"].to_string());
                }
            }
            members.values_mut().for_each(normalise);
            members.retain(|name, member| {
                name != "annotations" || member.as_object().is_some_and(|it| !it.is_empty())
            });
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        _ => {}
    }
}

fn compare(path: &str, one: &Value, other: &Value, differences: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            for (key, value) in one {
                compare(&format!("{path}.{key}"), value, other.get(key).unwrap_or(&Value::Null), differences);
            }
            let more = other.iter().filter(|(key, _)| !one.contains_key(*key));
            for (key, value) in more {
                compare(&format!("{path}.{key}"), &Value::Null, value, differences);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{path}[{at}]"), one, other, differences);
            }
        }
        _ if one == other => {}
        _ => differences.push(format!("{path}: Kustomize {one}, chart {other}")),
    }
}

#[test]
fn a_difference_is_found() {
    let mut differences = Vec::new();
    let one = serde_json::json!({"a": [1, {"b": 2}], "c": 3});
    compare("x", &one, &one, &mut differences);
    assert!(differences.is_empty());
    compare("x", &one, &serde_json::json!({"a": [1, {"b": 4}], "d": 5}), &mut differences);
    assert_eq!(differences.len(), 3, "{differences:?}");
}
