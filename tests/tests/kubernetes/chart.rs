//! The chart is sound, renders with every value set, and refuses values that contradict themselves or the schema.

use crate::render::{NAMESPACE, Rendered, chart, everything, name, template, told, tool, value_sets};
use forebay_tests::process;
use forebay_tests::tools::Tool;
use serde_json::Value;

/// Values that are wrong, and what the one who wrote them must be told.
const WRONG: [(&str, &str); 28] = [
    ("autoscaling.targetCPU=0,autoscaling.targetMemory=0", "autoscaling has no metric"),
    ("commonLabels.app\\.kubernetes\\.io/name=x", "the label app.kubernetes.io/name is the chart's own"),
    // The schema.
    ("fullnameOverride=a.b", "does not match pattern"),
    ("mode=both", "at '/mode': value must be one of 'gateway', 'durable'"),
    ("replica=3", "additional properties 'replica' not allowed"),
    ("image.tag=latest", "at '/image/tag': 'not' failed"),
    ("image.digest=sha256:0123", "at '/image/digest': 'sha256:0123' does not match pattern"),
    ("image.registry=registry.example/", "at '/image/registry': 'registry.example/' does not match pattern"),
    ("commonLabels.team=a b", "at '/commonLabels/team': 'a b' does not match pattern"),
    ("elasticsearch.endpoints=null", "at '/elasticsearch': missing property 'endpoints'"),
    // A password in an address would be in the ConfigMap.
    ("elasticsearch.endpoints={http://u:p@es:9200}", "at '/elasticsearch/endpoints/0'"),
    ("elasticsearch.settings.auth=none", "invalid propertyName 'auth'"),
    ("config.admin.listen=0.0.0.0:80", "at '/config': additional properties 'admin' not allowed"),
    ("receivers.kafka=true", "at '/receivers': additional properties 'kafka' not allowed"),
    ("deadLetters.maxBytes=1GB", "at '/deadLetters/maxBytes': '1GB' does not match pattern"),
    ("durable.whenScaled=Keep", "at '/durable/whenScaled': value must be one of 'Retain', 'Delete'"),
    ("runAsUser=0", "at '/runAsUser': minimum: got 0, want 1"),
    ("resources.limits.memory=null", "at '/resources/limits': missing property 'memory'"),
    ("networkPolicy.sinks[0].ports={70000}", "at '/networkPolicy/sinks/0/ports/0'"),
    ("networkPolicy.clients[0].podSelektor=x", "additional properties 'podSelektor' not allowed"),
    ("prometheusRule.runbookBase=https://wiki.example/", "at '/prometheusRule/runbookBase'"),
    ("probes.readiness.periodSeconds=0", "at '/probes/readiness/periodSeconds': minimum: got 0, want 1"),
    // The templates.
    (
        "terminationGracePeriodSeconds=30",
        "must be longer than drain.doorOpenSeconds and drain.deadlineSeconds",
    ),
    ("autoscaling.minReplicas=11", "autoscaling.minReplicas is above autoscaling.maxReplicas"),
    ("deadLetters.emptyDirSize=768Mi", "deadLetters.emptyDirSize must be larger than deadLetters.maxBytes"),
    (
        "mode=durable,durable.volume.size=18Gi",
        "durable.volume.size (18Gi) must hold durable.journal.maxBytes",
    ),
    ("tests.image.tag=", "the image curlimages/curl needs a tag"),
    ("mode=durable,durable.journal.maxBytes=1TiB", "with a tenth to spare"),
];

#[test]
fn lint_finds_nothing() {
    for values in value_sets() {
        let mut helm = tool(Tool::Helm);
        let output =
            helm.args(["lint", "--strict"]).arg(chart()).arg("--values").arg(&values).output().unwrap();
        let said = told(&output);
        assert!(output.status.success(), "{}: {said}", values.display());
        assert!(said.contains("1 chart(s) linted, 0 chart(s) failed"), "{}: {said}", values.display());
        assert!(!said.contains("[WARNING]") && !said.contains("[ERROR]"), "{}: {said}", values.display());
    }
}

#[test]
fn every_value_set_renders() {
    for rendered in everything() {
        let kinds: Vec<&str> =
            rendered.objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
        let workloads = kinds.iter().filter(|kind| ["Deployment", "StatefulSet"].contains(kind)).count();
        assert_eq!(workloads, 1, "{}: {kinds:?}", rendered.of);
    }
}

/// What `helm install` ends with, which `helm template` leaves out.
fn notes(values: &str) -> String {
    let mut helm = tool(Tool::Helm);
    helm.args(["install", "forebay"]).arg(chart()).args(["--dry-run=client", "--namespace", NAMESPACE]);
    let output = process::run(helm.args(["--set", values])).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.split_once("\nNOTES:\n").unwrap().1.to_owned()
}

#[test]
fn the_notes_say_what_is_installed() {
    let inside =
        ["forebay.telemetry.svc:4317", "http://forebay.telemetry.svc:4318/v1/logs", "deployment/forebay"];
    let outside = ["otlp.example.com:443 (TLS)", "https://logs.example.com/v1/logs"];
    let kept = "leaves its volume behind";
    for (values, said, unsaid) in [
        ("mode=gateway", &inside[..], &[outside[0], kept][..]),
        ("ingress.enabled=true,networkPolicy.enabled=true", &outside, &["No NetworkPolicy"]),
        ("mode=durable", &[kept, "statefulset/forebay", "No NetworkPolicy"], &["is lost"]),
        ("mode=durable,durable.whenScaled=Delete", &["is lost"], &[kept]),
        ("receivers.beats=true", &["forebay.telemetry.svc:5044"], &["svc:9200"]),
        (
            "fullnameOverride=intake",
            &["http://intake.telemetry.svc:8080/", "deployment/intake"],
            &["forebay.telemetry"],
        ),
    ] {
        let notes = notes(values);
        for text in said {
            assert!(notes.contains(text), "{values}: not {text:?} in {notes}");
        }
        for text in unsaid {
            assert!(!notes.contains(text), "{values}: {text:?} in {notes}");
        }
    }
}

/// Where a port must be: the container's, the two Services', the policy's, and what the configuration listens to.
fn places(rendered: &Rendered, port: u64) -> Vec<String> {
    let numbers = |list: &Value, field: &str| {
        let list = list.as_array().cloned().unwrap_or_default();
        list.iter().any(|it| it[field] == port)
    };
    let has = |object: &Value| match object["kind"].as_str() {
        Some("Service") => numbers(&object["spec"]["ports"], "port"),
        Some("NetworkPolicy") => numbers(&object["spec"]["ingress"][0]["ports"], "port"),
        Some("Deployment" | "StatefulSet") => {
            numbers(&object["spec"]["template"]["spec"]["containers"][0]["ports"], "containerPort")
        }
        Some("ConfigMap") => object["data"]["forebay.yaml"]
            .as_str()
            .is_some_and(|text| text.contains(&format!("listen: 0.0.0.0:{port}"))),
        _ => false,
    };
    rendered.objects.iter().filter(|object| has(object)).map(name).collect()
}

#[test]
fn further_receivers_have_their_ports_everywhere_or_nowhere() {
    let set = |name: &str| template(&chart().join(format!("ci/{name}-values.yaml")), &[]);
    let (all, few) = (set("everything"), set("networkpolicy"));
    let everywhere = places(&all, 4317);
    assert_eq!(everywhere.len(), 5, "{everywhere:?}");
    for port in [5044, 9200, 5959, 5514, 3100] {
        assert_eq!(places(&all, port), everywhere, "{port}");
        assert!(places(&few, port).is_empty(), "{port}");
    }
    assert_eq!(places(&few, 4317).len(), 5);
}

#[test]
fn wrong_values_are_refused() {
    process::run(tool(Tool::Helm).arg("template").arg(chart())).unwrap();
    let mut missed = Vec::new();
    for (values, expected) in WRONG {
        let output = tool(Tool::Helm).arg("template").arg(chart()).args(["--set", values]).output().unwrap();
        let said = told(&output);
        if output.status.success() || !said.contains(expected) {
            let said: String = said.chars().take(600).collect();
            missed.push(format!("{values}: not {expected:?}, but: {said}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
