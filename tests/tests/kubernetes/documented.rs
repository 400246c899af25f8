//! Commands that the documents tell an operator to type, typed as they stand there.

use crate::cluster::{Namespace, RELEASE, SETTLE_TIMEOUT, shared};
use crate::render::root;
use forebay_tests::{process, wait_until};
use std::fs;
use std::path::Path;

/// The namespace in the documents.
const NAMESPACE: &str = "-n telemetry";

/// Runs the commands of a document's block that names `what`, in a namespace of the test, and returns what they print.
fn run(document: &str, what: &str, namespace: &Namespace) -> String {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let mut blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("\n```").next().unwrap_or_default());
    let block = blocks.find(|block| block.contains(what)).unwrap_or_else(|| panic!("no block of {what}"));
    assert!(block.contains(NAMESPACE), "{block}");
    let block = block.replace(NAMESPACE, &format!("-n {}", namespace.name));
    let mut shell = shared().command(Path::new("sh"));
    let output = process::run(shell.args(["-c", &block])).unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

fn replicas(namespace: &Namespace) -> u64 {
    namespace.get(&["deployment", RELEASE]).unwrap()["spec"]["replicas"].as_u64().unwrap()
}

/// A release of six pods, which then gets an autoscaler. Returns how many pods it asked for at the end of the upgrade.
fn handed_over(namespace: &Namespace, before: impl Fn()) -> u64 {
    process::run(&mut namespace.upgrade(&[], &["autoscaling.enabled=false", "replicas=6"])).unwrap();
    namespace.wait_for_pods(6).unwrap();
    before();
    process::run(&mut namespace.upgrade(&[], &["autoscaling.enabled=true"])).unwrap();
    replicas(namespace)
}

#[test]
fn an_autoscaler_takes_over_the_number_of_pods_as_it_is() {
    let namespace = Namespace::new(shared(), "handed-over").unwrap();
    let pods = handed_over(&namespace, || {
        let told = run("deploy/helm/forebay/UPGRADING.md", "handover", &namespace);
        assert!(told.contains("serverside-applied"), "{told}");
    });
    assert_eq!(pods, 6);
    // And is free to change it.
    let limit = r#"{"spec":{"minReplicas":2,"maxReplicas":4}}"#;
    let patch = ["patch", "horizontalpodautoscaler", RELEASE, "--type", "merge", "--patch", limit];
    process::run(&mut namespace.kubectl(&patch)).unwrap();
    namespace.wait_for_pods(4).unwrap();

    // What the document warns of.
    let careless = Namespace::new(shared(), "not-handed-over").unwrap();
    assert!(handed_over(&careless, || {}) < 6);
}

#[test]
fn a_pod_comes_back_to_the_volume_that_it_left() {
    let namespace = Namespace::new(shared(), "orphaned").unwrap();
    namespace.make_volumes(3, "", "20Gi").unwrap();
    let settings = ["mode=durable", "autoscaling.minReplicas=3"];
    process::run(&mut namespace.upgrade(&["prod"], &settings)).unwrap();
    namespace.wait_for_pods(3).unwrap();
    let claim =
        || namespace.get(&["persistentvolumeclaim", "data-forebay-2"]).unwrap()["spec"]["volumeName"].clone();
    let volume = claim();
    for limits in [r#"{"spec":{"minReplicas":2,"maxReplicas":2}}"#, r#"{"spec":{"maxReplicas":10}}"#] {
        let patch = ["patch", "horizontalpodautoscaler", RELEASE, "--type", "merge", "--patch", limits];
        process::run(&mut namespace.kubectl(&patch)).unwrap();
        namespace.wait_for_pods(2).unwrap();
    }
    let told = run("docs/runbooks/ForebayJournalOrphaned.md", "minReplicas", &namespace);
    assert!(told.matches("pod/forebay-2 condition met").count() == 2, "{told}");
    namespace.wait_for_pods(3).unwrap();
    assert_eq!(claim(), volume);
}

#[test]
fn letters_of_a_pod_are_replayed_while_it_is_away() {
    let namespace = Namespace::new(shared(), "replayed").unwrap();
    namespace.make_volumes(3, "", "20Gi").unwrap();
    let settings = ["mode=durable", "autoscaling.minReplicas=3"];
    process::run(&mut namespace.upgrade(&["prod"], &settings)).unwrap();
    namespace.wait_for_pods(3).unwrap();
    let told = run("docs/runbooks/ForebayDeadLettersGrowing.md", "dlq, replay", &namespace);
    for step in ["pod/forebay-2 condition met", "job.batch/forebay-replay condition met", "deleted"] {
        assert!(told.contains(step), "{step}: {told}");
    }
    wait_until("two pods and no more", SETTLE_TIMEOUT, || {
        Ok((namespace.ready_pods()?.len() == 2).then_some(()))
    })
    .unwrap();
}
