//! The pages under `docs/` that the binary writes from its settings' structs.

use crate::command;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::process::Command;

/// What the binary prints when called like this belongs in this file.
const GENERATED: [(&[&str], &str); 2] = [
    (&["config-reference"], "docs/configuration.md"),
    (&["config-reference", "--schema"], "docs/forebay.schema.json"),
];

/// Fails if a generated page is not what the binary built by the tests would write.
pub fn check() -> Result<()> {
    for (args, page) in GENERATED {
        let committed = fs::read_to_string(command::root().join(page)).with_context(|| page.to_owned())?;
        ensure!(committed == generate(args)?, "{page} is not current: run `cargo xtask docs`");
        println!("{page} is current");
    }
    Ok(())
}

/// Writes every generated page.
pub fn write() -> Result<()> {
    for (args, page) in GENERATED {
        fs::write(command::root().join(page), generate(args)?).with_context(|| page.to_owned())?;
        println!("{page}");
    }
    Ok(())
}

fn generate(args: &[&str]) -> Result<String> {
    command::show(&mut command::cargo(&["build", "--quiet", "--package", "forebay"]))?;
    let output = Command::new(command::built("dev", "forebay")).args(args).output()?;
    ensure!(
        output.status.success(),
        "forebay {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
