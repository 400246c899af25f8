//! What lies in `deploy/` fits the binary, and its parts fit each other. Whether a cluster takes it is not asked here.

#![allow(clippy::unwrap_used)]

use forebay_tests::{Gateway, gateway};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every file below a folder of the project.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

/// Names of our metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("forebay_") {
        let is_inside =
            text[..at].chars().next_back().is_some_and(|before| before.is_alphanumeric() || before == '_');
        let name: String =
            text[at..].chars().take_while(|letter| letter.is_ascii_lowercase() || *letter == '_').collect();
        if !is_inside {
            names.insert(name);
        }
    }
    names
}

#[test]
fn the_charts_copies_are_copies() {
    for (source, copy) in [
        ("deploy/prometheus/rules.yaml", "deploy/helm/forebay/files/rules.yaml"),
        ("deploy/grafana/forebay.json", "deploy/helm/forebay/files/forebay.json"),
    ] {
        assert!(read(source) == read(copy), "{copy} is not {source}");
    }
}

#[test]
fn versions_agree() {
    let version = env!("CARGO_PKG_VERSION");
    let toolchain = read("rust-toolchain.toml");
    let channel =
        toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    for (file, expected) in [
        ("deploy/docker/Dockerfile", format!("FROM rust:{channel}-")),
        ("deploy/docker/Dockerfile", format!("ARG VERSION={version}\n")),
        ("deploy/compose/compose.yaml", format!("image: forebay:{version}\n")),
        ("deploy/helm/forebay/Chart.yaml", format!("version: {version}\n")),
        ("deploy/helm/forebay/Chart.yaml", format!("appVersion: \"{version}\"\n")),
        ("deploy/kustomize/base/kustomization.yaml", format!("app.kubernetes.io/version: \"{version}\"\n")),
        (
            "deploy/kustomize/overlays/prod/kustomization.yaml",
            format!("app.kubernetes.io/version: \"{version}\"\n"),
        ),
    ] {
        assert!(read(file).contains(&expected), "{file} has no {expected:?}");
    }
}

/// Alerts, dashboard, chart, scripts and documents speak of metrics that the binary has.
#[test]
fn every_metric_exists() {
    let help = metrics(&read("crates/gateway/src/admin/help.rs"));
    let mut asked = 0;
    for folder in ["deploy", "docs"] {
        for file in files(folder) {
            let names = metrics(&fs::read_to_string(&file).unwrap());
            // The name of a crate, where a log's filter is explained.
            for name in names.into_iter().filter(|name| name != "forebay_pipeline") {
                // A name that ends with a line stands for all that begin so.
                let exists = help
                    .iter()
                    .any(|known| *known == name || name.ends_with('_') && known.starts_with(&name));
                assert!(exists, "{}: there is no metric {name}", file.display());
                asked += 1;
            }
        }
    }
    assert!(asked > 50, "only {asked} names were found");
}

/// A name that ends with `_total` is a counter's, and no counter has another, on the page of a gateway that has everything.
#[test]
fn every_metric_is_of_the_type_that_its_name_says() {
    let config = "sinks: {none: {type: blackhole}}\nreceivers: {json: {listen: \"127.0.0.1:{json}\"}}\n\
                  acknowledge: durable\njournal: {path: \"{dir}/journal\"}\ndead_letters: {path: \"{dir}/letters\"}\n\
                  admin: {listen: \"127.0.0.1:{admin}\"}\ndrain: {door_open: 0s}\n";
    let gateway = Gateway::start(config).unwrap();
    let page = ureq::get(gateway.admin_url("/metrics")).call().unwrap().body_mut().read_to_string().unwrap();
    let mut types = 0;
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        types += 1;
    }
    assert!(types > 40 && page.contains("# TYPE forebay_journal_sync_seconds_total counter"), "{page}");
}

/// The blocks of a document in this language.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    let starts = text.match_indices(&fence).map(|(at, _)| &text[at + fence.len()..]);
    starts.map(|rest| rest.split("\n```").next().unwrap_or_default()).collect()
}

/// What documents tell an operator to type is shell, and the scripts in it are there and can be run.
#[test]
fn what_is_to_be_typed_can_be_typed() {
    let mut typed = 0;
    for file in files("docs").into_iter().chain(files("deploy")) {
        if file.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for block in blocks(&text, "sh") {
            // Read, and not run.
            let output = Command::new("sh").args(["-n", "-c", block]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && said.is_empty(), "{}: {said}\n{block}", file.display());
            let words =
                block.split([' ', '\n']).filter(|word| word.starts_with("deploy/") && word.ends_with(".sh"));
            for script in words {
                let mode = fs::metadata(root().join(script)).map(|it| it.permissions().mode());
                let is_program = mode.as_ref().is_ok_and(|mode| mode & 0o111 != 0);
                assert!(is_program, "{}: {script}: {mode:?}", file.display());
            }
            typed += 1;
        }
    }
    assert!(typed >= 12, "{typed}");
}

/// Each alert has a runbook, and each runbook an alert.
#[test]
fn alerts_and_runbooks_belong_together() {
    let rules = read("deploy/prometheus/rules.yaml");
    let alerts: BTreeSet<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let pages = files("docs/runbooks");
    let runbooks: BTreeSet<&str> =
        pages.iter().filter_map(|page| page.file_stem()?.to_str()).filter(|name| *name != "README").collect();
    assert_eq!(alerts, runbooks);
    assert!(alerts.len() >= 8);
}

/// `forebay check` takes every configuration; without an authority's certificate, which is a file of the pod.
#[test]
fn every_configuration_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let of = |folder: &str| files(folder).into_iter().filter(|file| file.ends_with("forebay.yaml"));
    let mut checked = 0;
    for file in of("deploy/kustomize").chain(of("deploy/compose")) {
        let text =
            fs::read_to_string(&file).unwrap().replace("tls: {ca_file: /etc/forebay-ca/ca.crt}", "tls: {}");
        let copy = folder.path().join("forebay.yaml");
        fs::write(&copy, text).unwrap();
        let output = Command::new(gateway::binary().unwrap())
            .arg("check")
            .arg(&copy)
            .envs([("ES_USERNAME", "forebay"), ("ES_PASSWORD", "secret")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
        checked += 1;
    }
    assert!(checked >= 4, "{checked}");
}
