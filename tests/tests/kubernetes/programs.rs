//! The programs themselves.

use forebay_tests::process;
use forebay_tests::tools::Tool;

/// Clients ask for it, and act by it.
#[test]
fn the_programs_of_kubernetes_know_their_version() {
    for (tool, arguments) in [
        (Tool::Kubectl, &["version", "--client"][..]),
        (Tool::KubeApiserver, &["--version"]),
        (Tool::KubeControllerManager, &["--version"]),
        (Tool::KubeScheduler, &["--version"]),
    ] {
        let output = process::run(tool.command().unwrap().args(arguments)).unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.lines().next().unwrap().ends_with(" v1.36.3"), "{}: {said}", tool.name());
    }
}

#[test]
fn kwok_has_its_stages() {
    for file in Tool::Kwok.files().unwrap() {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("kind: Stage"), "{}", file.display());
    }
}
