//! The programs themselves.

use crate::render::tool;
use forebay_tests::process;
use forebay_tests::tools::Tool;

/// Clients ask for it, and act by it.
#[test]
fn the_programs_of_kubernetes_know_their_version() {
    for (program, arguments) in [
        (Tool::Kubectl, &["version", "--client"][..]),
        (Tool::KubeApiserver, &["--version"]),
        (Tool::KubeControllerManager, &["--version"]),
        (Tool::KubeScheduler, &["--version"]),
    ] {
        let output = process::run(tool(program).args(arguments)).unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.lines().next().unwrap().ends_with(" v1.36.3"), "{}: {said}", program.name());
    }
}

#[test]
fn kwok_has_its_stages() {
    for file in Tool::Kwok.files().unwrap() {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("kind: Stage"), "{}", file.display());
    }
}
