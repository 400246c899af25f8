//! What a cluster with Gatekeeper may ask, by Gatekeeper's own engine: all that is rendered keeps it, and what does not is
//! refused by the constraint that is there for it.

use crate::render::{Rendered, chart, kustomizations, kustomize, root, template, told, tool, value_sets};
use forebay_tests::process;
use forebay_tests::tools::Tool;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The label and the registry that the constraints ask for.
const LABEL: &str = "team";
const REGISTRY: &str = "registry.example/telemetry";

/// Names of the constraints that objects violate.
fn violated(objects: &[Value]) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.yaml");
    let documents: Vec<String> = objects.iter().map(|object| format!("---\n{object}\n")).collect();
    fs::write(&file, documents.concat()).unwrap();
    let mut gator = tool(Tool::Gator);
    gator.args(["test", "--output", "json", "--filename", "deploy/policies", "--filename"]).arg(&file);
    let output = gator.output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)));
    let found = found.as_array().cloned().unwrap_or_default();
    assert_eq!(output.status.success(), found.is_empty(), "{}", told(&output));
    let names = found.iter().map(|result| result["constraint"]["metadata"]["name"].as_str());
    names.map(|name| name.unwrap_or_else(|| panic!("no constraint: {}", told(&output))).to_owned()).collect()
}

/// The chart with every value set, and Kustomize with an overlay of one's own, in a cluster that asks for a label and a
/// registry.
fn all_for_such_a_cluster() -> Vec<Rendered> {
    let registry = format!("image.registry={REGISTRY},tests.image.registry={REGISTRY}");
    let label = format!("commonLabels.{LABEL}=platform");
    let charts =
        value_sets().into_iter().map(|values| template(&values, &["--set", &registry, "--set", &label]));
    charts.chain(kustomizations().iter().map(|folder| overlaid(folder))).collect()
}

/// An overlay as `deploy/README.md` shows one. It must be near what it is laid over, so that is copied.
fn overlaid(folder: &Path) -> Rendered {
    let ours = tempfile::tempdir().unwrap();
    let shipped = root().join("deploy/kustomize");
    process::run(Command::new("cp").arg("-r").arg(&shipped).arg(ours.path().join("shipped"))).unwrap();
    let resource = folder.strip_prefix(&shipped).unwrap().display();
    let overlay = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [shipped/{resource}]\n\
         images: [{{name: forebay, newName: {REGISTRY}/forebay}}]\n\
         labels: [{{pairs: {{{LABEL}: platform}}, includeTemplates: true}}]\n"
    );
    fs::write(ours.path().join("kustomization.yaml"), overlay).unwrap();
    kustomize(ours.path())
}

#[test]
fn all_that_is_rendered_keeps_the_policies() {
    for rendered in all_for_such_a_cluster() {
        let violated = violated(&rendered.objects);
        assert!(violated.is_empty(), "{}: {violated:?}", rendered.of);
    }
}

/// Without that label and registry, as it comes.
#[test]
fn the_defaults_are_refused_where_more_is_asked() {
    let rendered = template(&chart().join("ci/default-values.yaml"), &[]);
    assert_eq!(
        violated(&rendered.objects),
        BTreeSet::from(["allowed-images", "required-labels"].map(String::from))
    );
    let prod = kustomize(&root().join("deploy/kustomize/overlays/prod"));
    assert_eq!(violated(&prod.objects), BTreeSet::new());
}

#[test]
fn what_violates_a_policy_is_refused_by_it() {
    let prod = kustomize(&root().join("deploy/kustomize/overlays/prod"));
    let workload = prod.objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let pod = "/spec/template/spec";
    let container = "/spec/template/spec/containers/0";
    let of_container = |path: &str| format!("{container}/{path}");
    let violations = [
        ("/metadata/labels/team".to_owned(), Value::Null, "required-labels"),
        ("/spec/template/metadata/labels/team".to_owned(), json!(""), "required-labels"),
        (of_container("image"), json!("elsewhere.example/forebay:0.1.0"), "allowed-images"),
        (of_container("image"), json!("registry.example:5000/forebay:0.1.0"), "allowed-images"),
        (of_container("image"), json!(format!("{REGISTRY}/forebay:latest")), "allowed-images"),
        (of_container("image"), json!(format!("{REGISTRY}/forebay")), "allowed-images"),
        (of_container("resources/limits/memory"), Value::Null, "required-limits"),
        (of_container("resources/requests"), Value::Null, "required-limits"),
        (of_container("securityContext/privileged"), json!(true), "restricted-containers"),
        (of_container("securityContext/allowPrivilegeEscalation"), Value::Null, "restricted-containers"),
        (of_container("securityContext/readOnlyRootFilesystem"), json!(false), "restricted-containers"),
        (format!("{pod}/securityContext/runAsNonRoot"), json!(false), "restricted-containers"),
        (format!("{pod}/automountServiceAccountToken"), json!(true), "restricted-containers"),
    ];
    for (path, value, constraint) in violations {
        let mut changed = workload.clone();
        let place = changed.pointer_mut(&path).unwrap_or_else(|| panic!("nothing at {path}"));
        // Null as in a patch: taken away.
        *place = value.clone();
        strip_nulls(&mut changed);
        assert_eq!(violated(&[changed]), BTreeSet::from([constraint.to_owned()]), "{path}: {value}");
    }
    // What starts before the containers counts as well.
    let mut changed = workload.clone();
    changed["spec"]["template"]["spec"]["initContainers"] = json!([{"name": "x", "image": "x"}]);
    let all = ["allowed-images", "required-limits", "restricted-containers"].map(String::from);
    assert_eq!(violated(&[changed]), BTreeSet::from(all));
}

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}
