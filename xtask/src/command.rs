//! Running other programs from the root of the workspace.

use anyhow::{Context, Result, ensure};
use forebay_tests::{cache, process};
use std::io::{BufRead, BufReader, Write};
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

/// How many lines of a failed test run are told again at its end.
const MAX_TOLD_AGAIN: usize = 60;

/// Runs tests with their output on ours. What failed is in the error as well, one line each: of a long run, whoever
/// reads only the end must still learn which test it was and why.
///
/// # Errors
/// As [`show`].
pub fn show_tests(command: &mut Command) -> Result<()> {
    let line = describe(command);
    println!("$ {line}");
    let (output, ours) = std::io::pipe()?;
    command.stdout(ours.try_clone()?).stderr(ours);
    let mut child = command.spawn().with_context(|| format!("cannot run {line}"))?;
    // The command holds the writing ends that would keep the pipe open.
    command.stdout(std::process::Stdio::inherit()).stderr(std::process::Stdio::inherit());
    let told = tell(BufReader::new(output))?;
    let status = child.wait()?;
    ensure!(status.success(), "{line}: {status}\n{}", told.join("\n"));
    Ok(())
}

/// Copies lines to our output and keeps those that say what failed.
fn tell(mut from: impl BufRead) -> Result<Vec<String>> {
    let mut out = std::io::stdout();
    let (mut kept, mut line, mut of_a_panic) = (Vec::new(), Vec::new(), 0);
    while from.read_until(b'\n', &mut line)? > 0 {
        out.write_all(&line)?;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.contains(" panicked at ") {
            of_a_panic = 4;
        }
        let failed = text.starts_with("test ") && text.ends_with("FAILED") || text.starts_with("error");
        if (of_a_panic > 0 || failed) && kept.len() < MAX_TOLD_AGAIN {
            kept.push(text.chars().take(400).collect());
        }
        of_a_panic = usize::saturating_sub(of_a_panic, 1);
        line.clear();
    }
    Ok(kept)
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
    process::find_program(program).is_some()
}

/// Whether a probe such as `cargo deny --version` succeeds. Its output is not shown.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The folder that cargo builds into.
pub fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()))
}

/// The file that `cargo build --profile <profile>` makes of a binary.
pub fn built(profile: &str, binary: &str) -> PathBuf {
    target().join(if profile == "dev" { "debug" } else { profile }).join(binary)
}

fn describe(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}
