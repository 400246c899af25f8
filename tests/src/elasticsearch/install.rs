//! Fetches a server's "integ-test-zip" from Maven Central (the ordinary server with few modules) and builds the
//! small plugin that gives Elasticsearch `GET /` and API keys back.
//!
//! Elasticsearch's licence lets us run it; neither server is committed or shipped.

use super::Distribution;
use crate::{cache, process};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PLUGIN_SOURCE: &str = include_str!("../../elasticsearch/HarnessPlugin.java");
const PLUGIN_DESCRIPTOR: &str = include_str!("../../elasticsearch/plugin-descriptor.properties");

/// The folder of the distribution, fetched on first use (Elasticsearch 107 MB, OpenSearch 56 MB).
pub fn install(distribution: Distribution) -> Result<PathBuf> {
    let version = distribution.version();
    let stamp = match distribution {
        Distribution::Elasticsearch => format!("{version}\n{PLUGIN_DESCRIPTOR}\n{PLUGIN_SOURCE}"),
        Distribution::OpenSearch => version.to_owned(),
    };
    let folder = cache::install(distribution.name(), &stamp, |place| {
        fetch(distribution, place)?;
        if distribution == Distribution::Elasticsearch {
            build_plugin(place, &place.join(unpacked(distribution)))?;
        }
        // The node runs as another user than the one who unpacked it.
        process::run(Command::new("chmod").args(["-R", "a+rX"]).arg(place)).map(drop)
    })?;
    Ok(folder.join(unpacked(distribution)))
}

/// The folder of the JDK that `java` belongs to.
pub fn java_home() -> Result<PathBuf> {
    if let Some(chosen) = std::env::var_os("JAVA_HOME") {
        return Ok(chosen.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let java = std::env::split_paths(&path).map(|folder| folder.join("java")).find(|file| file.exists());
    let java = java.context("the servers need a JDK 17 (openjdk-17-jdk-headless): no java in PATH")?;
    // /usr/bin/java is a link to <home>/bin/java.
    let home = java.canonicalize()?.ancestors().nth(2).map(Path::to_path_buf);
    home.context("java does not lie in a folder bin/")
}

/// The folder in the archive, and the archive's name.
fn unpacked(distribution: Distribution) -> String {
    format!("{}-{}", distribution.name(), distribution.version())
}

/// `dependency:copy`, not `unpack`: outside a Maven project the latter leaves markers in an odd folder, and then
/// skips the second time.
fn fetch(distribution: Distribution, place: &Path) -> Result<()> {
    let (name, version) = (distribution.name(), distribution.version());
    let coordinate = format!("org.{name}.distribution.integ-test-zip:{name}:{version}:zip");
    let mut maven = Command::new("mvn");
    maven.args(["-B", "-ntp", "-q", "-Dstyle.color=never"]);
    maven.arg("org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy");
    maven.arg(format!("-Dartifact={coordinate}")).arg(format!("-DoutputDirectory={}", place.display()));
    process::run(maven.current_dir(place)).with_context(|| format!("fetching {name} needs Maven (maven)"))?;

    let archive = place.join(format!("{}.zip", unpacked(distribution)));
    process::run(Command::new("jar").arg("xf").arg(&archive).current_dir(place))
        .with_context(|| format!("unpacking {name} needs a JDK 17 (openjdk-17-jdk-headless)"))?;
    fs::remove_file(&archive)?;
    // jar(1) does not restore the executable bit.
    let programs = place.join(unpacked(distribution)).join("bin");
    process::run(Command::new("chmod").args(["-R", "a+x"]).arg(programs)).map(drop)
}

fn build_plugin(place: &Path, home: &Path) -> Result<()> {
    let source = place.join("HarnessPlugin.java");
    let classes = place.join("classes");
    fs::write(&source, PLUGIN_SOURCE)?;
    let mut javac = Command::new("javac");
    javac.args(["--release", "17", "-nowarn", "-cp"]).arg(home.join("lib/*"));
    process::run(javac.arg("-d").arg(&classes).arg(&source))?;

    let plugin = home.join("plugins/forebay-harness");
    fs::create_dir_all(&plugin)?;
    fs::write(plugin.join("plugin-descriptor.properties"), PLUGIN_DESCRIPTOR)?;
    let mut jar = Command::new("jar");
    process::run(jar.arg("cf").arg(plugin.join("harness.jar")).arg("-C").arg(&classes).arg(".")).map(drop)
}
