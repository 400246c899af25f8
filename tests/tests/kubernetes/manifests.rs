//! Every object has the fields that its type has, and every configuration is one that the gateway takes.

use crate::render::{Rendered, everything, template, told, tool, value_sets};
use forebay_tests::tools::Tool;
use forebay_tests::{gateway, schemas};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Where the chart mounts the authority of Elasticsearch's certificate.
const AUTHORITY_FOLDER: &str = "/etc/forebay-ca/";
/// Any will do. Its key was never kept.
const AUTHORITY: &str = include_str!("authority.pem");

/// Validates manifests strictly; its summary is JSON.
pub fn kubeconform(manifests: &str) -> (Output, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("manifests.yaml");
    fs::write(&file, manifests).unwrap();
    let location = schemas::find().unwrap().join(schemas::PATTERN);
    let mut command = tool(Tool::Kubeconform);
    command.args(["-strict", "-summary", "-output", "json", "-schema-location"]).arg(location).arg(file);
    let output = command.output().unwrap();
    let summary: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)));
    (output, summary["summary"].clone())
}

#[test]
fn objects_have_the_fields_of_their_types() {
    for rendered in everything() {
        let (output, summary) = kubeconform(&rendered.text);
        assert!(output.status.success(), "{}: {}", rendered.of, told(&output));
        assert_eq!(summary["valid"], rendered.objects.len(), "{}: {summary}", rendered.of);
    }
}

/// The schemas are ours, so they must be seen to refuse.
#[test]
fn a_field_that_does_not_exist_is_found() {
    let values = value_sets().into_iter().find(|file| file.ends_with("everything-values.yaml")).unwrap();
    let text = template(&values, &[]).text;
    for (right, wrong) in [
        ("terminationGracePeriodSeconds:", "terminationGraceSeconds:"),
        ("minReplicas: 2", "minReplicas: two"),
        ("maxUnavailable: 1\n", "maxUnavailable: [1]\n"),
        ("readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true"),
        ("scrapeTimeout:", "scrapeTimeOut:"),
        ("runbook_url:", "runbook: {url: x}\n          runbook_url:"),
        ("policyTypes:", "policyType:"),
    ] {
        assert!(text.contains(right), "nothing is {right}");
        let (output, summary) = kubeconform(&text.replacen(right, wrong, 1));
        assert!(!output.status.success() && summary["invalid"] == 1, "{wrong}: {}", told(&output));
    }
}

#[test]
fn the_gateway_takes_every_configuration() {
    let mut checked = 0;
    for rendered in everything() {
        for text in configurations(&rendered) {
            check(&rendered.of, text);
            checked += 1;
        }
    }
    assert!(checked >= value_sets().len() + 4, "only {checked}");
}

/// The texts that ConfigMaps hold as `forebay.yaml`.
pub fn configurations(rendered: &Rendered) -> impl Iterator<Item = &str> {
    let maps = rendered.objects.iter().filter(|object| object["kind"] == "ConfigMap");
    maps.filter_map(|map| map["data"]["forebay.yaml"].as_str())
}

/// Has the gateway check a configuration.
pub fn check(of: &str, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    // The authority is a file of the pod.
    for name in ["ca.crt", "http_ca.crt"] {
        fs::write(folder.path().join(name), AUTHORITY).unwrap();
    }
    let here = format!("{}/", folder.path().display());
    let file = folder.path().join("forebay.yaml");
    fs::write(&file, text.replace(AUTHORITY_FOLDER, &here)).unwrap();
    let output = forebay_check(&file);
    assert!(output.status.success(), "{of}: {}", told(&output));
}

fn forebay_check(file: &Path) -> Output {
    let secrets = [("ES_USERNAME", "forebay"), ("ES_PASSWORD", "0123"), ("ES_API_KEY", "a2V5OnNlY3JldA==")];
    Command::new(gateway::binary().unwrap()).arg("check").arg(file).envs(secrets).output().unwrap()
}
