//! What the API server lets in: Pod Security `restricted` is enforced where Forebay runs, and a field that does not exist is a
//! mistake.

use crate::cluster::{Namespace, refusal, run_with_input, shared, with_input};
use crate::render;
use serde_json::{Value, json};

/// Has the API server judge what comes on standard input, and changes nothing.
pub const DRY: [&str; 5] = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];

/// Without this, nothing that the others install shows that Pod Security lets it in.
#[test]
fn a_privileged_pod_is_refused_where_forebay_runs() {
    let guarded = Namespace::new(shared(), "guarded").unwrap();
    let planted = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "planted"},
        "spec": {"containers": [
            {"name": "planted", "image": "planted:1", "securityContext": {"privileged": true}},
        ]},
    })
    .to_string();
    let said = refusal(with_input(&mut guarded.kubectl(&DRY), &planted).unwrap());
    assert!(said.contains("violates PodSecurity \"restricted:latest\": privileged"), "{said}");
    // Nothing else is wrong with it: where nothing is enforced, it is let in.
    let everybodys = Namespace { cluster: shared(), name: "default" };
    run_with_input(&mut everybodys.kubectl(&DRY), &planted).unwrap();
}

#[test]
fn an_unknown_field_is_refused() {
    let namespace = Namespace::new(shared(), "strict").unwrap();
    let base = render::kustomize(&render::root().join("deploy/kustomize/base")).text;
    run_with_input(&mut namespace.kubectl(&DRY), &base).unwrap();
    let planted = base.replace("minReplicas:", "leastReplicas:");
    assert_ne!(planted, base);
    let said = refusal(with_input(&mut namespace.kubectl(&DRY), &planted).unwrap());
    assert!(said.contains("unknown field \"spec.leastReplicas\""), "{said}");
}

/// Every set of values that the chart is shipped with, the pod of `helm test` included.
#[test]
fn whatever_the_chart_makes_is_let_in() {
    let cluster = shared();
    let namespace = Namespace::new(cluster, "value-sets").unwrap();
    cluster.define_monitors().unwrap();
    let mut tests = 0;
    for values in render::value_sets() {
        let rendered = render::template(&values, &["--namespace", namespace.name]);
        run_with_input(&mut namespace.kubectl(&DRY), &rendered.text)
            .unwrap_or_else(|error| panic!("{}: {error:#}", rendered.of));
        tests += rendered.objects.iter().filter(|object| object["kind"] == "Pod").count();
    }
    assert!(tests >= 5, "only {tests} value sets have a test");
}

/// The types of the Prometheus operator judge what they are given.
#[test]
fn a_monitor_that_cannot_work_is_refused() {
    let cluster = shared();
    let namespace = Namespace::new(cluster, "monitors").unwrap();
    cluster.define_monitors().unwrap();
    let values = render::chart().join("ci/monitoring-values.yaml");
    let objects = render::template(&values, &[]).objects;
    let of = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap().clone();
    let (monitor, rules) = (of("ServiceMonitor"), of("PrometheusRule"));
    let faults: [(Value, &str, Value, &str); 2] = [
        (monitor, "/spec/endpoints/0/port", 9600.into(), "spec.endpoints[0].port"),
        (rules, "/spec/groups/0/rules/0/expr", Value::Null, "spec.groups[0].rules[0].expr"),
    ];
    for (mut object, place, fault, told) in faults {
        object["metadata"]["namespace"] = namespace.name.into();
        run_with_input(&mut namespace.kubectl(&DRY), &object.to_string()).unwrap();
        *object.pointer_mut(place).unwrap() = fault;
        let said = refusal(with_input(&mut namespace.kubectl(&DRY), &object.to_string()).unwrap());
        assert!(said.contains(told), "{said}");
    }
}
