//! The house: its floors, the size of its rooms, and that what it says about itself is so.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What each crate of the product may stand on among our own, and what its tests may beside that.
const FLOORS: [(&str, &[&str], &[&str]); 3] = [
    ("forebay-pipeline", &[], &["forebay-proto"]),
    ("forebay-sinks", &["forebay-pipeline"], &["forebay-proto"]),
    ("forebay", &["forebay-pipeline", "forebay-proto", "forebay-sinks"], &[]),
];

const LONGEST_FILE_LINES: usize = 500;

#[test]
fn imports_point_downwards_only() {
    let mut command = Command::new("cargo");
    command.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(root());
    let output = forebay_tests::process::run(&mut command).unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    for (name, floors_below, for_tests) in FLOORS {
        let package = packages.iter().find(|package| package["name"] == name).unwrap();
        let mut allowed: BTreeSet<&str> = floors_below.iter().copied().collect();
        assert_eq!(own_dependencies(package, false), allowed, "dependencies of {name}");
        allowed.extend(for_tests);
        let of_tests = own_dependencies(package, true);
        assert!(of_tests.is_subset(&allowed), "dev-dependencies of {name}: {of_tests:?}");
    }
}

/// Names of our own crates that a package depends on: for its tests, or (build scripts included) for itself.
fn own_dependencies(package: &Value, for_tests: bool) -> BTreeSet<&str> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    let of_kind = dependencies.filter(|dependency| (dependency["kind"] == "dev") == for_tests);
    of_kind.map(|it| it["name"].as_str().unwrap()).filter(|name| name.starts_with("forebay")).collect()
}

#[test]
fn sinks_do_not_know_each_other() {
    let folder = root().join("crates/sinks/src");
    let list = fs::read_to_string(folder.join("lib.rs")).unwrap();
    // The enum of all sinks has lines like `File(file::Config),`.
    let modules: BTreeSet<&str> = list
        .lines()
        .filter_map(|line| line.trim().strip_suffix("::Config),")?.split_once('('))
        .map(|(_, module)| module)
        .collect();
    assert!(modules.contains("elasticsearch") && modules.contains("file"), "{modules:?}");
    for own in &modules {
        let mut files = rust_files(&folder.join(own));
        files.extend(Some(folder.join(format!("{own}.rs"))).filter(|file| file.exists()));
        assert!(!files.is_empty(), "the sink {own} has no file");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let named = modules.iter().find(|other| *other != own && names_module(&text, other));
            assert_eq!(named, None, "{} knows another sink", file.display());
        }
    }
}

/// Whether `module::` is in the text, not as the end of another name.
fn names_module(text: &str, module: &str) -> bool {
    let path = format!("{module}::");
    let mut found = text.match_indices(&path).map(|(at, _)| text[..at].chars().next_back());
    found.any(|before| !before.is_some_and(|before| before.is_alphanumeric() || before == '_'))
}

#[test]
fn rooms_are_small() {
    let files: Vec<PathBuf> = ["gateway", "pipeline", "sinks"]
        .iter()
        .flat_map(|name| rust_files(&root().join("crates").join(name).join("src")))
        .collect();
    assert!(files.len() > 50, "looked in the wrong place: {files:?}");
    let long = |file: &&PathBuf| fs::read_to_string(file).unwrap().lines().count() > LONGEST_FILE_LINES;
    let long: Vec<&PathBuf> = files.iter().filter(long).collect();
    assert!(long.is_empty(), "over {LONGEST_FILE_LINES} lines: {long:?}");
}

/// Every row of the table of promises names a test, and every file that it names is there.
#[test]
fn every_promise_has_its_test() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, table) = page.split_once("| promise | test |\n").unwrap();
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).skip(1).collect();
    assert!(rows.len() >= 10, "{rows:?}");
    for row in rows {
        let tests = row.trim_matches('|').rsplit_once('|').unwrap().1;
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {row}");
        for name in named {
            let commands = name.starts_with("cargo ");
            assert!(commands || promised_file(name).exists(), "{name} is not there: {row}");
        }
    }
}

/// The page writes `pipeline/...` for `crates/pipeline/...`.
fn promised_file(name: &str) -> PathBuf {
    let of_a_crate = ["pipeline/", "sinks/", "gateway/"].iter().any(|start| name.starts_with(start));
    if of_a_crate { root().join("crates").join(name) } else { root().join(name) }
}

#[test]
fn the_deployed_version_is_the_one_that_is_built() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let version =
        manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap().trim_matches('"');
    let base = root().join("deploy/kustomize/base");
    let deployment = fs::read_to_string(base.join("deployment.yaml")).unwrap();
    assert!(deployment.contains(&format!("image: forebay:{version}\n")), "the image is not {version}");
    let labels = fs::read_to_string(base.join("kustomization.yaml")).unwrap();
    assert!(
        labels.contains(&format!("app.kubernetes.io/version: \"{version}\"\n")),
        "the label is not {version}"
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// All source files under a folder; none if it is not there.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if !folder.exists() {
        return found;
    }
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
