//! JSON schemas for kubeconform, made of what Kubernetes and the Prometheus operator publish of their own types. They
//! are strict: a field that a type does not have is a mistake.

use crate::tools::{KUBERNETES, download};
use crate::{cache, yaml};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const NAME: &str = "schemas";
/// Raised when the code below makes something else of the same sources.
const REVISION: u32 = 2;

const OPERATOR: (&str, &str) = ("github.com/prometheus-operator/prometheus-operator", "v0.85.0");
const OPERATOR_TYPES: [&str; 2] = ["servicemonitors", "prometheusrules"];

/// Where a definition of Kubernetes refers to another.
const REFERENCE: &str = "#/definitions/";

/// The folder of schemas, if it was made. [`PATTERN`] names the files in it.
pub fn find() -> Option<PathBuf> {
    cache::find(NAME, &stamp())
}

/// The definitions that the schemas of custom resources were made of, for a cluster, if they are there.
pub fn definitions() -> Option<Vec<PathBuf>> {
    let folder = find()?;
    Some(OPERATOR_TYPES.iter().map(|name| folder.join(format!("{name}.yaml"))).collect())
}

/// As kubeconform is told to name them: `deployment-apps-v1.json`.
pub const PATTERN: &str = "{{.ResourceKind}}{{.KindSuffix}}.json";

/// The folder of schemas, made if need be.
pub fn install() -> Result<PathBuf> {
    cache::install(NAME, &stamp(), |place| {
        let kubernetes = download(KUBERNETES.0, KUBERNETES.1)?.join("api/openapi-spec/swagger.json");
        let published = fs::read(&kubernetes).context("Kubernetes publishes no definitions there")?;
        write_kubernetes(&serde_json::from_slice(&published)?, place)?;
        let operator = download(OPERATOR.0, OPERATOR.1)?.join("example/prometheus-operator-crd");
        for name in OPERATOR_TYPES {
            let file = operator.join(format!("monitoring.coreos.com_{name}.yaml"));
            let definition = fs::read_to_string(&file).with_context(|| format!("no {name}"))?;
            write_custom(&definition, place)?;
            fs::write(place.join(format!("{name}.yaml")), definition)?;
        }
        Ok(())
    })
}

fn stamp() -> String {
    format!("{KUBERNETES:?} {OPERATOR:?} {OPERATOR_TYPES:?} {REVISION}")
}

/// A file for each kind, with the definitions that it leads to.
fn write_kubernetes(published: &Value, place: &Path) -> Result<()> {
    let mut definitions = published["definitions"].as_object().context("no definitions")?.clone();
    for definition in definitions.values_mut() {
        close(definition);
    }
    // Amounts such as `cpu: 1` are numbers as well.
    let quantity = definitions.get_mut("io.k8s.apimachinery.pkg.api.resource.Quantity");
    quantity.context("no quantities")?["type"] = json!(["string", "number"]);
    for (name, definition) in &definitions {
        let Some(kinds) = definition["x-kubernetes-group-version-kind"].as_array() else { continue };
        // What belongs to many kinds (options, watches) is nothing that a manifest holds.
        let [kind] = &kinds[..] else { continue };
        let mut needed = BTreeSet::new();
        collect(name, &definitions, &mut needed)?;
        let needed: Map<String, Value> =
            needed.into_iter().map(|name| (name.to_owned(), definitions[name].clone())).collect();
        let schema = json!({"$ref": format!("{REFERENCE}{name}"), "definitions": needed});
        write(kind, &kind["kind"], &schema, place)?;
    }
    Ok(())
}

/// A file for each version of a custom resource.
fn write_custom(definition: &str, place: &Path) -> Result<()> {
    for document in yaml::documents(definition)? {
        let spec = &document["spec"];
        for version in spec["versions"].as_array().context("no versions")? {
            let mut schema = version["schema"]["openAPIV3Schema"].clone();
            close(&mut schema);
            let kind = json!({"group": spec["group"], "version": version["name"]});
            write(&kind, &spec["names"]["kind"], &schema, place)?;
        }
    }
    Ok(())
}

/// Writes the schema of a kind under the name that [`PATTERN`] makes: of the group, only the first word is in it.
fn write(version: &Value, kind: &Value, schema: &Value, place: &Path) -> Result<()> {
    let text = |value: &Value| Ok::<_, anyhow::Error>(value.as_str().context("no text")?.to_lowercase());
    let (kind, group, version) = (text(kind)?, text(&version["group"])?, text(&version["version"])?);
    let group = match group.split('.').next() {
        None | Some("") => String::new(),
        Some(word) => format!("-{word}"),
    };
    Ok(fs::write(place.join(format!("{kind}{group}-{version}.json")), schema.to_string())?)
}

/// Names `name` and the definitions that it refers to, near and far.
fn collect<'d>(name: &'d str, all: &'d Map<String, Value>, into: &mut BTreeSet<&'d str>) -> Result<()> {
    if !into.insert(name) {
        return Ok(());
    }
    let mut open = vec![all.get(name).with_context(|| format!("no definition {name}"))?];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                let referred = members.get("$ref").and_then(Value::as_str);
                if let Some(other) = referred.and_then(|it| it.strip_prefix(REFERENCE)) {
                    collect(other, all, into)?;
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    Ok(())
}

/// Closes every object whose fields are known, and opens what may be a number or a text.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let is_open = members.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
            let is_closed = members.get("properties").is_some_and(Value::is_object) && !is_open;
            if is_closed && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), false.into());
            }
            if members.get("format").is_some_and(|format| format == "int-or-string") {
                members.insert("type".to_owned(), json!(["string", "integer"]));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
