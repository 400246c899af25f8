//! `cargo xtask setup`: what the tests need beside the Rust toolchain, and where it lies.

use crate::command;
use anyhow::{Result, ensure};
use forebay_tests::elasticsearch::{Distribution, install};
use forebay_tests::{cache, process, python::Python, telemetrygen};
use std::path::PathBuf;
use std::process::Command;

/// A program of the system that something we fetch is built or run with.
struct Tool {
    program: &'static str,
    /// Debian's package; `None` where Debian's is too old.
    package: Option<&'static str>,
    purpose: &'static str,
}

const TOOLS: [Tool; 9] = [
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
    Tool { program: "python3", package: Some("python3-venv"), purpose: "the Python clients" },
    Tool {
        program: "go",
        package: None,
        purpose: "building telemetrygen (Go 1.26 or later, https://go.dev/dl)",
    },
    Tool { program: "valgrind", package: Some("valgrind"), purpose: "cargo xtask guard" },
];

/// Installs what is missing where it can, fetches the rest, and says where each thing lies.
///
/// # Errors
/// Names everything that could not be fetched, after having tried all of it.
pub fn run() -> Result<()> {
    println!("cache: {}", cache::folder()?.display());
    install_packages(&TOOLS.map(|tool| tool.program))?;
    for tool in TOOLS {
        if !command::in_path(tool.program) {
            let remedy =
                tool.package.map_or_else(String::new, |package| format!(": apt-get install {package}"));
            println!("{} is missing, needed for {}{remedy}", tool.program, tool.purpose);
        }
    }
    let mut missing = Vec::new();
    let mut fetch = |name, install: fn() -> Result<PathBuf>| {
        println!("{name}: looking, fetching if need be");
        match install() {
            Ok(place) => println!("{name}: {}", place.display()),
            Err(error) => {
                println!("{name}: {error:#}");
                missing.push(name);
            }
        }
    };
    fetch("Elasticsearch", || install::install(Distribution::Elasticsearch));
    fetch("OpenSearch", || install::install(Distribution::OpenSearch));
    fetch("Python clients", || Ok(Python::install()?.interpreter().to_owned()));
    fetch("telemetrygen", telemetrygen::install);
    ensure!(missing.is_empty(), "not there: {}", missing.join(", "));
    Ok(())
}

/// Installs the packages of those of `programs` that are missing, where this is Debian and we are root; elsewhere the
/// system is not ours to change.
pub fn install_packages(programs: &[&str]) -> Result<()> {
    let mut packages: Vec<&str> = Vec::new();
    for tool in TOOLS {
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
