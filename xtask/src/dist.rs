//! `cargo xtask dist`: the binary as it is shipped, optimised by a profile of its own work.
//!
//! Built three times: to be measured with, with counters, and with what these counted under the bench's loads. See
//! <https://doc.rust-lang.org/rustc/profile-guided-optimization.html>.

use crate::command;
use anyhow::{Context, Result, ensure};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The cargo profile of everything that is shipped or measured.
const PROFILE: &str = "dist";

/// What the counted binary is put through, as arguments of forebay-bench: each wire, requests from one record to many, compressed ones, and
/// more than it can take, for what refuses would else be built as if it never ran. The seeds are not those that one would measure with.
const LOADS: [&str; 10] = [
    "--runs 1 --protocol otlp-grpc --records 1000000 --seed 9001",
    "--runs 1 --protocol otlp-http --records 500000 --seed 9002",
    "--runs 1 --protocol otlp-grpc --records 200000 --seed 9003 --records-per-request 20",
    "--runs 1 --protocol otlp-grpc --records 20000 --seed 9004 --records-per-request 1",
    "--runs 1 --protocol ndjson --records 400000 --seed 9005",
    "--runs 1 --protocol ndjson --records 300000 --seed 9006 --ndjson-keys 18",
    "--runs 1 --protocol otlp-http --records 200000 --seed 9007 --gzip",
    "--runs 1 --protocol bulk --records 300000 --seed 9008",
    "--runs 1 --protocol beats --records 300000 --seed 9009 --gzip",
    "overload --short sink --rounds 1 --seconds 15 --capacity-seconds 5 --factor 5 --least 0",
];

/// Builds it, unless nothing changed since the last time, and says where it is.
///
/// # Errors
/// A build or a load failed, or `llvm-profdata` is missing and cannot be installed.
pub fn build() -> Result<PathBuf> {
    let profdata = profdata()?;
    let bench = bench()?;
    let counted = gateway("counted", &counting()?)?;
    let profile = folder().join("forebay.profdata");
    if is_older(&profile, &counted)? {
        train(&bench, &counted)?;
        command::show(Command::new(profdata).arg("merge").arg("-o").arg(&profile).arg(raw()))?;
        // Cargo does not look into what a flag names.
        let built = folder().join("shipped");
        if built.exists() {
            fs::remove_dir_all(&built)?;
        }
    }
    gateway("shipped", &flag("-Cprofile-use=", &profile)?)
}

/// Builds the bench and its programs, without counters.
///
/// # Errors
/// The build failed.
pub fn bench() -> Result<PathBuf> {
    command::show(&mut command::cargo(&[
        "build",
        "--profile",
        PROFILE,
        "--package",
        "forebay-bench",
        "--bins",
    ]))?;
    Ok(command::built(PROFILE, "forebay-bench"))
}

fn train(bench: &Path, counted: &Path) -> Result<()> {
    if raw().exists() {
        fs::remove_dir_all(raw())?;
    }
    for load in LOADS {
        let mut run = Command::new(bench);
        run.args(load.split(' ')).arg("--gateway").arg(counted);
        command::show(run.current_dir(command::root()))?;
    }
    Ok(())
}

/// Builds the gateway with these compiler flags in a folder of its own. Naming the target keeps them away from build scripts.
fn gateway(name: &str, flags: &str) -> Result<PathBuf> {
    let (folder, host) = (folder().join(name), host()?);
    let build =
        ["build", "--profile", PROFILE, "--package", "forebay", "--bin", "forebay", "--target", &host];
    let mut build = command::cargo(&build);
    build.env("CARGO_ENCODED_RUSTFLAGS", flags).env("CARGO_TARGET_DIR", &folder);
    command::show(&mut build)?;
    Ok(folder.join(host).join(PROFILE).join("forebay"))
}

fn counting() -> Result<String> {
    flag("-Cprofile-generate=", &raw())
}

fn flag(name: &str, path: &Path) -> Result<String> {
    let path = path.to_str().context("the target folder's path is no UTF-8")?;
    Ok(format!("{name}{path}"))
}

/// Where all of this lies.
fn folder() -> PathBuf {
    command::target().join("pgo")
}

/// What the counters wrote.
fn raw() -> PathBuf {
    folder().join("raw")
}

fn is_older(file: &Path, than: &Path) -> Result<bool> {
    Ok(!file.exists() || fs::metadata(file)?.modified()? < fs::metadata(than)?.modified()?)
}

/// `llvm-profdata` of the compiler's own version; another may not read its files.
fn profdata() -> Result<PathBuf> {
    let sysroot = printed(Command::new("rustc").args(["--print", "sysroot"]))?;
    let program = Path::new(&sysroot).join("lib/rustlib").join(host()?).join("bin/llvm-profdata");
    if !program.exists() {
        command::show(Command::new("rustup").args(["component", "add", "llvm-tools"]))?;
    }
    ensure!(program.exists(), "llvm-profdata is missing: rustup component add llvm-tools");
    Ok(program)
}

/// The machine that this compiler builds for by itself.
fn host() -> Result<String> {
    printed(Command::new("rustc").args(["--print", "host-tuple"]))
}

/// What a command, run in the root, prints.
fn printed(command: &mut Command) -> Result<String> {
    let program = OsString::from(command.get_program());
    let output = command.current_dir(command::root()).output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(output.status.success(), "{}: {}", program.display(), output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
