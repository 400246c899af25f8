//! `kubectl apply -k` of every overlay, under Pod Security `restricted`.

use crate::cluster::{Namespace, refusal, shared};
use crate::ending;
use crate::render::root;
use forebay_tests::process;

/// Applies an overlay, waits for its pods, and sees that applying it again would change nothing.
fn apply(overlay: &str, namespace: &Namespace, pods: usize) {
    let folder = root().join("deploy/kustomize/overlays").join(overlay).display().to_string();
    let apply = ["apply", "--validate=strict", "-k", &folder];
    process::run(namespace.kubectl(&apply).arg("--dry-run=server")).unwrap();
    let differences = refusal(&mut namespace.kubectl(&["diff", "-k", &folder]));
    assert!(differences.contains("+kind: Service"), "the dry run was wet: {differences}");

    process::run(&mut namespace.kubectl(&apply)).unwrap();
    namespace.wait_for_pods(pods).unwrap();
    ending::waits_for_the_drain(namespace);
    process::run(&mut namespace.kubectl(&["diff", "-k", &folder])).unwrap();
}

#[test]
fn dev_is_applied() {
    apply("dev", &Namespace::new(shared(), "overlay-dev").unwrap(), 1);
}

#[test]
fn prod_is_applied_with_its_network_closed() {
    let namespace = Namespace::new(shared(), "overlay-prod").unwrap();
    apply("prod", &namespace, 3);
    let policies = namespace.get(&["networkpolicies"]).unwrap();
    assert_eq!(policies["items"].as_array().unwrap().len(), 2, "{policies}");
    // It must be spread over zones, and is.
    let nodes = namespace.all("pods").unwrap();
    let zones: std::collections::BTreeSet<_> =
        nodes.values().map(|pod| shared().zone(pod["spec"]["nodeName"].as_str().unwrap())).collect();
    assert_eq!(zones.len(), 3, "{zones:?}");
}

#[test]
fn durable_is_applied_with_its_volumes() {
    let namespace = Namespace::new(shared(), "overlay-durable").unwrap();
    namespace.make_volumes(2, "", "20Gi").unwrap();
    apply("durable", &namespace, 2);
    let claims = namespace.all("persistentvolumeclaims").unwrap();
    assert_eq!(claims.keys().collect::<Vec<_>>(), ["data-forebay-0", "data-forebay-1"]);
}
