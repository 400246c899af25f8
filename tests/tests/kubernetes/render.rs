//! What the chart and Kustomize make.

use forebay_tests::tools::Tool;
use forebay_tests::{process, yaml};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Longer than any of these programs takes on a busy machine, in seconds.
const TIMEOUT: &str = "120";

/// The namespace that `deploy/README.md` installs into.
pub const NAMESPACE: &str = "telemetry";

/// One rendering.
pub struct Rendered {
    /// The file or folder that it is made of.
    pub of: String,
    pub text: String,
    pub objects: Vec<Value>,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

pub fn chart() -> PathBuf {
    root().join("deploy/helm/forebay")
}

/// A command of a tool that cannot hang.
pub fn tool(tool: Tool) -> Command {
    let mut command = Command::new("timeout");
    command.arg(TIMEOUT).arg(tool.command().unwrap().get_program()).current_dir(root());
    // What the user's own Helm has installed is none of ours.
    let helm = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm");
    for home in ["CACHE", "CONFIG", "DATA"] {
        command.env(format!("HELM_{home}_HOME"), helm.join(home));
    }
    command
}

pub fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The value sets that the chart is shipped with.
pub fn value_sets() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(chart().join("ci")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert!(found.len() >= 8, "{found:?}");
    found
}

/// The folders that Kustomize builds.
pub fn kustomizations() -> Vec<PathBuf> {
    ["base", "overlays/dev", "overlays/prod", "overlays/durable"]
        .map(|name| root().join("deploy/kustomize").join(name))
        .to_vec()
}

/// `helm template` with a file of values, and further arguments.
pub fn template(values: &Path, further: &[&str]) -> Rendered {
    release("forebay", values, further)
}

/// The same for a release of this name.
pub fn release(name: &str, values: &Path, further: &[&str]) -> Rendered {
    let mut helm = tool(Tool::Helm);
    helm.args(["template", name]).arg(chart()).args(["--namespace", NAMESPACE, "--values"]).arg(values);
    rendered(values, helm.args(further))
}

/// `kubectl kustomize` of a folder.
pub fn kustomize(folder: &Path) -> Rendered {
    rendered(folder, tool(Tool::Kubectl).arg("kustomize").arg(folder))
}

/// All of both.
pub fn everything() -> Vec<Rendered> {
    let charts = value_sets().into_iter().map(|values| template(&values, &[]));
    charts.chain(kustomizations().into_iter().map(|folder| kustomize(&folder))).collect()
}

fn rendered(of: &Path, command: &mut Command) -> Rendered {
    let text = String::from_utf8(process::run(command).unwrap().stdout).unwrap();
    let objects = yaml::documents(&text).unwrap();
    let of = of.strip_prefix(root()).unwrap_or(of).display().to_string();
    // Deployment or StatefulSet, configuration, two Services.
    assert!(objects.len() >= 4, "{of} makes {} objects", objects.len());
    Rendered { of, text, objects }
}

/// `Deployment/forebay`.
pub fn name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]))
}
