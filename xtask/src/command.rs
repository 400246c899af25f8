//! Running other programs from the root of the workspace.

use anyhow::{Context, Result, ensure};
use forebay_tests::cache;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// `cargo` with these arguments, in the root. Taken from PATH, where rustup's proxy understands `+nightly`.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(root());
    // `cargo run` tells this process about its own package, and build scripts that watch these variables would build
    // ring and all that stands on it anew each time plain cargo and xtask take turns.
    for (name, _) in std::env::vars_os() {
        let is_of_xtask = name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if is_of_xtask {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command with its output on ours.
///
/// # Errors
/// It cannot be started or does not end with status 0.
pub fn show(command: &mut Command) -> Result<()> {
    let line = describe(command);
    println!("$ {line}");
    let status = command.status().with_context(|| format!("cannot run {line}"))?;
    ensure!(status.success(), "{line}: {status}");
    Ok(())
}

/// A subcommand of cargo, one that may have been installed by [`install_tool`].
pub fn cargo_tool(args: &[&str]) -> Result<Command> {
    let mut path = vec![tools()?.join("bin")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut command = cargo(args);
    command.env("PATH", std::env::join_paths(path)?);
    Ok(command)
}

/// Builds a subcommand of cargo into the cache, where [`cargo_tool`] finds it.
pub fn install_tool(name: &str, version: &str) -> Result<()> {
    println!("{name} {version} is missing: installing it into {}", tools()?.display());
    let mut install = cargo(&["install", name, "--version", version, "--locked", "--root"]);
    show(install.arg(tools()?))
}

fn tools() -> Result<PathBuf> {
    Ok(cache::folder()?.join("cargo"))
}

/// Whether a program is in PATH.
pub fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether a probe such as `cargo deny --version` succeeds. Its output is not shown.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The file that `cargo build --profile <profile>` makes of a binary.
pub fn built(profile: &str, binary: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let folder = if profile == "dev" { "debug" } else { profile };
    root().join(target).join(folder).join(binary)
}

fn describe(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}
