//! The chart in a cluster, from `helm install` to `helm uninstall`, in both shapes.

use crate::cluster::{Namespace, RELEASE, SETTLE_TIMEOUT, json, shared};
use crate::ending;
use forebay_tests::{process, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Stdio;

const KINDS: &str = "deployment,statefulset,pod,service,configmap,serviceaccount,horizontalpodautoscaler,\
                     poddisruptionbudget,networkpolicy,ingress";
const NEXT: &str = "image.tag=0.2.0";

/// `deploy/`'s own values for production make three pods, each of the image that is asked for.
fn assert_images(namespace: &Namespace, tag: &str) {
    let images = namespace.images().unwrap();
    assert_eq!(images, vec![format!("registry.example/telemetry/forebay:{tag}"); 3]);
}

fn rollback(namespace: &Namespace) {
    let mut rollback = namespace.helm(&["rollback", RELEASE, "1", "--wait", "--timeout", "90s"]);
    process::run(&mut rollback).unwrap();
    namespace.wait_for_pods(3).unwrap();
    assert_images(namespace, "0.1.0");
    let history = json(&mut namespace.helm(&["history", RELEASE, "--output", "json"])).unwrap();
    let last = history.as_array().unwrap().last().unwrap();
    assert_eq!((&last["revision"], &last["status"]), (&3.into(), &"deployed".into()), "{history}");
}

/// Everything of the release but its claims.
fn objects(namespace: &Namespace) -> usize {
    let label = format!("app.kubernetes.io/instance={RELEASE}");
    let list = namespace.get(&[KINDS, "--selector", &label]).unwrap();
    list["items"].as_array().unwrap().len()
}

fn uninstall(namespace: &Namespace) {
    assert!(objects(namespace) >= 10);
    process::run(&mut namespace.helm(&["uninstall", RELEASE, "--wait", "--timeout", "90s"])).unwrap();
    wait_until("an empty namespace", SETTLE_TIMEOUT, || Ok((objects(namespace) == 0).then_some(()))).unwrap();
}

#[test]
fn a_gateway_is_installed_upgraded_rolled_back_and_removed() {
    let namespace = Namespace::new(shared(), "release-gateway").unwrap();
    process::run(&mut namespace.upgrade(&["prod"], &[])).unwrap();
    namespace.wait_for_pods(3).unwrap();
    assert_images(&namespace, "0.1.0");
    ending::waits_for_the_drain(&namespace);

    // A new pod comes before an old one goes.
    let mut upgrade = namespace.upgrade(&["prod"], &[NEXT]).stdout(Stdio::null()).spawn().unwrap();
    let (mut looks, mut least) = (0, u64::MAX);
    let status = loop {
        let deployment = namespace.get(&["deployment", RELEASE]).unwrap();
        least = least.min(deployment["status"]["availableReplicas"].as_u64().unwrap_or(0));
        looks += 1;
        if let Some(status) = upgrade.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success() && looks > 2, "{status} after {looks} looks");
    assert!(least >= 3, "only {least} pods were there during the upgrade");
    namespace.wait_for_pods(3).unwrap();
    assert_images(&namespace, "0.2.0");

    rollback(&namespace);
    uninstall(&namespace);
}

fn claims(namespace: &Namespace) -> BTreeMap<String, Value> {
    let claims = namespace.all("persistentvolumeclaims").unwrap();
    claims.into_iter().map(|(name, claim)| (name, claim["metadata"]["uid"].clone())).collect()
}

#[test]
fn a_durable_release_keeps_its_volumes() {
    let namespace = Namespace::new(shared(), "release-durable").unwrap();
    namespace.make_volumes(3, "", "20Gi").unwrap();
    let settings = ["mode=durable", "autoscaling.enabled=false", "replicas=3"];
    let with = |further: &[&str]| {
        process::run(&mut namespace.upgrade(&["prod"], &[&settings[..], further].concat())).unwrap();
    };
    with(&[]);
    namespace.wait_for_pods(3).unwrap();
    assert_images(&namespace, "0.1.0");
    ending::waits_for_the_drain(&namespace);
    let volumes = claims(&namespace);
    assert_eq!(volumes.keys().collect::<Vec<_>>(), ["data-forebay-0", "data-forebay-1", "data-forebay-2"]);

    with(&[NEXT]);
    namespace.wait_for_pods(3).unwrap();
    assert_images(&namespace, "0.2.0");
    rollback(&namespace);

    // What is scaled in leaves its volume, and finds it when it comes back.
    with(&["replicas=2"]);
    namespace.wait_for_pods(2).unwrap();
    assert_eq!(claims(&namespace), volumes);
    with(&[]);
    namespace.wait_for_pods(3).unwrap();
    assert_eq!(claims(&namespace), volumes);

    // So does what is uninstalled.
    uninstall(&namespace);
    assert_eq!(claims(&namespace), volumes);
    with(&["durable.whenDeleted=Delete"]);
    namespace.wait_for_pods(3).unwrap();
    assert_eq!(claims(&namespace), volumes);
    // Unless it was told otherwise.
    uninstall(&namespace);
    wait_until("the end of the claims", SETTLE_TIMEOUT, || Ok(claims(&namespace).is_empty().then_some(())))
        .unwrap();
}

/// Ingress, NetworkPolicy, ServiceMonitor, PrometheusRule, dashboard, a class of volumes and a pod a node.
#[test]
fn everything_at_once_is_installed() {
    let cluster = shared();
    let namespace = Namespace::new(cluster, "release-everything").unwrap();
    cluster.define_monitors().unwrap();
    namespace.make_volumes(2, "fast", "50Gi").unwrap();
    process::run(&mut namespace.upgrade(&["everything"], &[])).unwrap();
    namespace.wait_for_pods(2).unwrap();
    for (kind, count) in [
        ("ingresses", 2),
        ("networkpolicies", 2),
        ("servicemonitors", 1),
        ("prometheusrules", 1),
        ("horizontalpodautoscalers", 1),
        ("poddisruptionbudgets", 1),
        ("configmaps", 2),
        ("services", 2),
    ] {
        let found = namespace.all(kind).unwrap();
        assert_eq!(found.len(), count, "{kind}: {:?}", found.keys());
    }
}
