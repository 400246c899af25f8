//! `deploy.sh` and the health check at its end, which reaches one real gateway behind every simulated pod.

use crate::cluster::{Namespace, SETTLE_TIMEOUT, json, refusal, shared, text, value_set};
use crate::render::root;
use forebay_tests::{process, wait_until};
use std::fs;
use std::path::Path;
use std::process::Command;

const IMAGE: &str = "registry.example/telemetry/forebay:0.1.0";
const PASSWORD: &str = "not-for-everybody";

/// Pods take this long to go, as those do that have something to deliver.
const LINGER: &str = "podAnnotations: {drill/linger: 5s}\n";

/// `deploy.sh` into a namespace, with the values for production and credentials.
fn deploy(namespace: &str, password: &str) -> Command {
    let linger = Path::new(env!("CARGO_TARGET_TMPDIR")).join("linger.yaml");
    fs::write(&linger, LINGER).unwrap();
    let mut deploy = shared().command(Path::new("sh"));
    deploy.arg(root().join("deploy/deploy.sh")).args(["--namespace", namespace, "--image", IMAGE]);
    deploy.args(["--elasticsearch", "https://es-0:9200", "--elasticsearch", "https://es-1:9200"]);
    deploy.arg("--values").arg(value_set("prod")).arg("--values").arg(linger);
    deploy.args(["--timeout", "90s"]);
    deploy.env("ES_USERNAME", "forebay").env("ES_PASSWORD", password);
    deploy
}

/// What a successful run has said of the health of the pods.
fn deployed(namespace: &str, password: &str) -> String {
    String::from_utf8(process::run(&mut deploy(namespace, password)).unwrap().stdout).unwrap()
}

/// Processes with this argument and `port-forward`.
fn forwards(namespace: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|it| fs::read_to_string(it.path().join("cmdline")).ok());
    lines.filter(|line| line.contains("port-forward") && line.contains(namespace)).collect()
}

#[test]
fn a_dry_run_shows_everything_and_changes_nothing() {
    let output = process::run(deploy("dry", PASSWORD).arg("--dry-run")).unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8(told).unwrap();
    for part in ["kind: Namespace", "kind: Deployment", IMAGE, "https://es-1:9200", "nothing was changed"] {
        assert!(told.contains(part), "it does not show {part}:\n{told}");
    }
    assert!(!told.contains(PASSWORD), "it shows the password");
    let found = process::run(shared().kubectl().args(["get", "namespace", "dry", "--ignore-not-found"]));
    assert_eq!(found.unwrap().stdout, b"");
}

#[test]
fn what_it_cannot_do_it_says_before_anything_is_changed() {
    for (arguments, told) in [
        (&["--namespace", "Not One"][..], "--namespace is of letters, digits and dashes"),
        (&["--namespace", "a: b"], "--namespace is of letters, digits and dashes"),
        (&["--", "--dry-run"], "unknown option: --"),
        (&["--namespase", "x"], "unknown option: --namespase"),
        (&["--image", "registry.example:5000/forebay"], "--image needs a tag"),
        (&["--image", "forebay:latest"], "the tag latest says nothing"),
        (&["--values", "/nowhere.yaml"], "cannot read /nowhere.yaml"),
        (&["--timeout"], "--timeout needs a value"),
        (&["--elasticsearch", "http://user:secret@es:9200"], "the chart does not render"),
    ] {
        let mut deploy = shared().command(Path::new("sh"));
        let said = refusal(
            deploy.arg(root().join("deploy/deploy.sh")).args(["--namespace", "never"]).args(arguments),
        );
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
    let found = process::run(shared().kubectl().args(["get", "namespace", "never", "--ignore-not-found"]));
    assert_eq!(found.unwrap().stdout, b"");
}

#[test]
fn deploy_brings_it_in_and_may_be_run_again() {
    let told = deployed("deployed", PASSWORD);
    assert!(told.contains("is rolled out") && !told.contains("WRONG"), "{told}");
    let namespace = Namespace { cluster: shared(), name: "deployed" };
    let labels = &namespace.get(&["namespace", namespace.name]).unwrap()["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    let pods = namespace.wait_for_pods(3).unwrap();
    let secret = namespace.get(&["secret", "forebay-elasticsearch"]).unwrap();
    assert_eq!(secret["data"]["username"], "Zm9yZWJheQ==");
    // The password is where it belongs, and in no annotation.
    assert!(secret["metadata"]["annotations"].is_null(), "{}", secret["metadata"]);

    // Once more: nothing changes, and every pod answers.
    let told = deployed("deployed", PASSWORD);
    assert_eq!(namespace.wait_for_pods(3).unwrap(), pods);
    for pod in pods.keys() {
        assert!(told.contains(&format!("ok    pod/{pod} readyz")), "{pod} was not asked:\n{told}");
    }
    assert!(told.contains("received 0 = 0 at the door"), "nobody read the books:\n{told}");
    assert_eq!(namespace.get(&["secret", "forebay-elasticsearch"]).unwrap(), secret);
    let releases = json(&mut namespace.helm(&["list", "--output", "json"])).unwrap();
    assert_eq!(text(&releases[0]["revision"]), "2");

    // Another password reaches the pods. Those that are still on their way out are not asked for their health.
    let told = deployed("deployed", "another");
    let restarted = namespace.wait_for_pods(3).unwrap();
    assert!(
        restarted.keys().all(|pod| !pods.contains_key(pod) && told.contains(pod)),
        "{restarted:?}:\n{told}"
    );
    assert!(!pods.keys().any(|pod| told.contains(pod)), "{pods:?}:\n{told}");

    // The other shape would take the pods away before the new ones are there.
    let said = refusal(deploy("deployed", "another").args(["--mode", "durable"]));
    assert!(said.contains("is there in the other shape"), "{said}");
    assert_eq!(namespace.wait_for_pods(3).unwrap(), restarted);

    wait_until("the end of the forwards", SETTLE_TIMEOUT, || {
        Ok(forwards("deployed").is_empty().then_some(()))
    })
    .unwrap();
}
