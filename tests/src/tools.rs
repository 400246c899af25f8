//! Programs of Kubernetes and its neighbours, built by Go from their released modules into the cache.
//!
//! All of them together take half an hour on a small machine, so that tests use what is there ([`Tool::find`]) and only
//! `cargo xtask setup --all` builds them ([`Tool::install`]).

use crate::{cache, process};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Kubectl,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    /// Plays nodes and their pods. Beside the program lie the stages that it is started with ([`Tool::files`]).
    Kwok,
    Helm,
    Kubeconform,
    /// Gatekeeper's policies without a cluster.
    Gator,
    Promtool,
    Prometheus,
}

/// Where a program comes from: package `cmd/<program>` of one version of a module.
struct Source {
    program: &'static str,
    module: &'static str,
    version: &'static str,
    /// Further arguments of `go build`.
    flags: &'static [&'static str],
    /// Files of the module that are kept beside the program.
    files: &'static [&'static str],
}

pub(crate) const KUBERNETES: (&str, &str) = ("k8s.io/kubernetes", "v1.36.3");

/// The libraries of Kubernetes as they were released with it. In its own repository they are folders.
const STAGED: &str = "=> ./staging/src/";
const STAGED_VERSION: &str = "v0.36.3";

/// Clients ask the programs of Kubernetes for their version, which nothing but the linker tells them.
const KUBERNETES_FLAGS: &[&str] = &["-ldflags=-s -w \
     -X k8s.io/component-base/version.gitVersion=v1.36.3 \
     -X k8s.io/component-base/version.gitMajor=1 \
     -X k8s.io/component-base/version.gitMinor=36 \
     -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3"];

/// Without symbols for debuggers.
const SMALL: &[&str] = &["-ldflags=-s -w"];

/// Nodes that are ready at once and stay so; pods that run, end and go.
const KWOK_STAGES: &[&str] = &[
    "kustomize/stage/node/fast/node-initialize.yaml",
    "kustomize/stage/node/heartbeat/node-heartbeat.yaml",
    "kustomize/stage/pod/fast/pod-ready.yaml",
    "kustomize/stage/pod/fast/pod-complete.yaml",
    "kustomize/stage/pod/fast/pod-delete.yaml",
];

impl Tool {
    /// All of them; those that many tests need first.
    pub const ALL: [Self; 10] = [
        Self::Kubectl,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kwok,
        Self::Helm,
        Self::Kubeconform,
        Self::Gator,
        Self::Promtool,
        Self::Prometheus,
    ];

    fn source(self) -> Source {
        match self {
            Self::Kubectl => kubernetes("kubectl"),
            Self::KubeApiserver => kubernetes("kube-apiserver"),
            Self::KubeControllerManager => kubernetes("kube-controller-manager"),
            Self::KubeScheduler => kubernetes("kube-scheduler"),
            Self::Kwok => Source { files: KWOK_STAGES, ..plain("kwok", "sigs.k8s.io/kwok", "v0.8.0") },
            Self::Helm => plain("helm", "helm.sh/helm/v4", "v4.3.1"),
            Self::Kubeconform => plain("kubeconform", "github.com/yannh/kubeconform", "v0.8.0"),
            Self::Gator => plain("gator", "github.com/open-policy-agent/gatekeeper/v3", "v3.23.1"),
            Self::Promtool => prometheus("promtool"),
            Self::Prometheus => prometheus("prometheus"),
        }
    }

    /// The program's name.
    pub fn name(self) -> &'static str {
        self.source().program
    }

    /// The program, if it was built from the present sources.
    pub fn find(self) -> Option<PathBuf> {
        let source = self.source();
        Some(cache::find(source.program, &source.stamp())?.join(source.program))
    }

    /// The program, built if need be: minutes, for the largest a quarter of an hour.
    pub fn install(self) -> Result<PathBuf> {
        let source = self.source();
        let folder = cache::install(source.program, &source.stamp(), |place| source.build(place))?;
        Ok(folder.join(source.program))
    }

    /// A command of the program.
    ///
    /// # Errors
    /// It was not built.
    pub fn command(self) -> Result<Command> {
        let missing = || format!("{} is not there: `cargo xtask setup --all` builds it", self.name());
        self.find().map(Command::new).with_context(missing)
    }

    /// The files beside the program.
    ///
    /// # Errors
    /// It was not built.
    pub fn files(self) -> Result<Vec<PathBuf>> {
        let program = self.find().with_context(|| format!("{} is not there", self.name()))?;
        Ok(self.source().files.iter().map(|file| program.with_file_name(file_name(file))).collect())
    }
}

/// The store of the API server. It comes from the system: Debian's package `etcd-server`.
pub fn etcd() -> Option<PathBuf> {
    process::find_program("etcd")
}

fn plain(program: &'static str, module: &'static str, version: &'static str) -> Source {
    Source { program, module, version, flags: SMALL, files: &[] }
}

fn kubernetes(program: &'static str) -> Source {
    let (module, version) = KUBERNETES;
    Source { flags: KUBERNETES_FLAGS, ..plain(program, module, version) }
}

/// Without the clients of thirty clouds that can tell it what to scrape, which are most of its code.
fn prometheus(program: &'static str) -> Source {
    let module = "github.com/prometheus/prometheus";
    Source { flags: &["-ldflags=-s -w", "-tags=remove_all_sd"], ..plain(program, module, "v0.315.0") }
}

impl Source {
    fn stamp(&self) -> String {
        format!("{}@{} {:?} {:?}", self.module, self.version, self.flags, self.files)
    }

    /// Builds it as the dependency of a module of ours, which takes over what the released module says of its own
    /// dependencies. `go install` does not, and refuses modules that replace some of them.
    fn build(&self, place: &Path) -> Result<()> {
        let released = download(self.module, self.version)?;
        for file in self.files {
            fs::copy(released.join(file), place.join(file_name(file)))
                .with_context(|| format!("{} has no {file}", self.module))?;
        }
        let ours = tempfile::tempdir()?;
        let manifest = fs::read_to_string(released.join("go.mod"))?;
        fs::write(ours.path().join("go.mod"), self.manifest(&manifest))?;
        fs::write(ours.path().join("go.sum"), fs::read(released.join("go.sum"))?)?;
        let mut build = go(ours.path());
        build.args(["build", "-mod=mod", "-trimpath", "-p=2"]).args(self.flags);
        build.arg("-o").arg(place.join(self.program)).arg(format!("{}/cmd/{}", self.module, self.program));
        process::run(&mut build).map(drop)
    }

    /// The manifest of a module that depends on the released one, and on its dependencies in the same versions.
    fn manifest(&self, released: &str) -> String {
        let mut ours = String::from("module forebay.test/tools\n");
        for line in released.lines().filter(|line| !line.starts_with("module ")) {
            match line.split_once(STAGED) {
                Some((replaced, library)) => ours += &format!("{replaced}=> {library} {STAGED_VERSION}\n"),
                None => ours += &format!("{line}\n"),
            }
        }
        ours + &format!("require {} {}\n", self.module, self.version)
    }
}

/// The folder of a released module, fetched if need be.
pub(crate) fn download(module: &str, version: &str) -> Result<PathBuf> {
    let elsewhere = tempfile::tempdir()?;
    let mut download = go(elsewhere.path());
    let output = process::run(download.args(["mod", "download", "-json", &format!("{module}@{version}")]))?;
    let told: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let folder = PathBuf::from(told["Dir"].as_str().unwrap_or_default());
    ensure!(folder.is_dir(), "go keeps no folder of {module}: {told}");
    Ok(folder)
}

/// Longer than the largest build takes on a busy machine, in seconds.
const TIMEOUT: &str = "7200";

/// The machine's own Go, and nothing in C.
fn go(folder: &Path) -> Command {
    let mut go = Command::new("timeout");
    go.args([TIMEOUT, "go"])
        .current_dir(folder)
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0");
    go
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_not_taken_twice() {
        let names: std::collections::BTreeSet<_> = Tool::ALL.iter().map(|tool| tool.name()).collect();
        assert_eq!(names.len(), Tool::ALL.len());
    }

    #[test]
    fn folders_of_a_repository_become_released_libraries() {
        let released = "module k8s.io/kubernetes\n\ngo 1.26.0\n\nrequire k8s.io/api v0.0.0\n\n\
                        replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\ta.b/c => d.e/f v1.0.0\n)\n";
        let expected = "module forebay.test/tools\n\ngo 1.26.0\n\nrequire k8s.io/api v0.0.0\n\n\
                        replace (\n\tk8s.io/api => k8s.io/api v0.36.3\n\ta.b/c => d.e/f v1.0.0\n)\n\
                        require k8s.io/kubernetes v1.36.3\n";
        assert_eq!(kubernetes("kubectl").manifest(released), expected);
    }
}
