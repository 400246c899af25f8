//! `cargo xtask setup`: what the tests need beside the Rust toolchain, and where it lies.

use crate::command;
use anyhow::{Result, ensure};
use forebay_tests::elasticsearch::{Distribution, install};
use forebay_tests::{cache, fluent, lumber, process, python::Python, schemas, telemetrygen, tools};
use std::path::PathBuf;
use std::process::Command;

/// A program of the system that something we fetch is built or run with.
struct Tool {
    program: &'static str,
    /// Debian's package; `None` where Debian's is too old.
    package: Option<&'static str>,
    purpose: &'static str,
}

const TOOLS: [Tool; 11] = [
    Tool { program: "cc", package: Some("build-essential"), purpose: "linking, and mimalloc" },
    Tool { program: "java", package: Some("openjdk-17-jdk-headless"), purpose: "Elasticsearch, OpenSearch" },
    Tool {
        program: "javac",
        package: Some("openjdk-17-jdk-headless"),
        purpose: "Elasticsearch's test plugin",
    },
    Tool { program: "mvn", package: Some("maven"), purpose: "fetching them from Maven Central" },
    Tool {
        program: "setpriv",
        package: Some("util-linux"),
        purpose: "running them, which refuse root, and the image",
    },
    Tool { program: "curl", package: Some("curl"), purpose: "deploy/elasticsearch/setup.sh" },
    Tool { program: "openssl", package: Some("openssl"), purpose: "a client of TLS" },
    Tool { program: "python3", package: Some("python3-venv"), purpose: "the Python clients" },
    Tool {
        program: "go",
        package: None,
        purpose: "building telemetrygen, go-lumber and fluent-logger (Go 1.26 or later, https://go.dev/dl)",
    },
    Tool { program: "rsyslogd", package: Some("rsyslog"), purpose: "a client of syslog" },
    Tool { program: "valgrind", package: Some("valgrind"), purpose: "cargo xtask guard" },
];

/// What the tests in Kubernetes need beside the programs that are built from source.
const KUBERNETES_TOOLS: [Tool; 2] = [
    Tool { program: "etcd", package: Some("etcd-server"), purpose: "a Kubernetes API server" },
    Tool { program: "busybox", package: Some("busybox"), purpose: "running what `helm test` runs" },
];

/// Programs of the system that the tests in Kubernetes would need, and that are missing.
pub fn missing_for_kubernetes() -> Vec<&'static str> {
    let programs = KUBERNETES_TOOLS.iter().map(|tool| tool.program);
    programs.filter(|program| !command::in_path(program)).collect()
}

#[derive(clap::Args)]
pub struct Options {
    /// The programs of Kubernetes and its neighbours too, built from source: half an hour on a small machine
    #[arg(long)]
    all: bool,
}

/// As [`fetch`], and with `--all` as [`fetch_kubernetes`].
///
/// # Errors
/// As of both, which are tried both.
pub fn run(options: &Options) -> Result<()> {
    let fetched = fetch();
    if options.all {
        fetch_kubernetes()?;
    }
    fetched
}

/// Installs what is missing where it can, fetches the rest, and says where each thing lies.
///
/// # Errors
/// Names everything that could not be fetched, after having tried all of it.
pub fn fetch() -> Result<()> {
    println!("cache: {}", cache::folder()?.display());
    prepare(&TOOLS)?;
    let mut fetches = Fetches::default();
    fetches.fetch("Elasticsearch", || install::install(Distribution::Elasticsearch));
    fetches.fetch("OpenSearch", || install::install(Distribution::OpenSearch));
    fetches.fetch("Python clients", || Ok(Python::install()?.interpreter().to_owned()));
    fetches.fetch("telemetrygen", telemetrygen::install);
    fetches.fetch("go-lumber", lumber::install);
    fetches.fetch("fluent-logger-golang", fluent::install);
    fetches.finish()
}

/// Builds what the tests in Kubernetes need, unless an earlier run has.
///
/// # Errors
/// As of [`fetch`].
pub fn fetch_kubernetes() -> Result<()> {
    prepare(&KUBERNETES_TOOLS)?;
    let mut fetches = Fetches::default();
    for tool in tools::Tool::ALL {
        fetches.fetch(tool.name(), || tool.install());
    }
    fetches.fetch("schemas", schemas::install);
    fetches.finish()
}

/// Installs programs of the system where that can be done, and says which are missing all the same.
fn prepare(wanted: &[Tool]) -> Result<()> {
    install_packages(&wanted.iter().map(|tool| tool.program).collect::<Vec<_>>())?;
    for tool in wanted {
        if !command::in_path(tool.program) {
            let remedy =
                tool.package.map_or_else(String::new, |package| format!(": apt-get install {package}"));
            println!("{} is missing, needed for {}{remedy}", tool.program, tool.purpose);
        }
    }
    Ok(())
}

/// Several things to fetch; one that fails does not keep the others from being tried.
#[derive(Default)]
struct Fetches {
    missing: Vec<&'static str>,
}

impl Fetches {
    fn fetch(&mut self, name: &'static str, install: impl FnOnce() -> Result<PathBuf>) {
        println!("{name}: looking, fetching if need be");
        match install() {
            Ok(place) => println!("{name}: {}", place.display()),
            Err(error) => {
                println!("{name}: {error:#}");
                self.missing.push(name);
            }
        }
    }

    fn finish(self) -> Result<()> {
        ensure!(self.missing.is_empty(), "not there: {}", self.missing.join(", "));
        Ok(())
    }
}

/// Installs the packages of those of `programs` that are missing, where this is Debian and we are root; elsewhere the
/// system is not ours to change.
pub fn install_packages(programs: &[&str]) -> Result<()> {
    let mut packages: Vec<&str> = Vec::new();
    for tool in TOOLS.iter().chain(&KUBERNETES_TOOLS) {
        let wanted = programs.contains(&tool.program) && !command::in_path(tool.program);
        match tool.package {
            Some(package) if wanted && !packages.contains(&package) => packages.push(package),
            _ => {}
        }
    }
    if packages.is_empty() || !process::is_root() || !command::in_path("apt-get") {
        return Ok(());
    }
    command::show(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(&packages);
    command::show(install.env("DEBIAN_FRONTEND", "noninteractive"))
}
