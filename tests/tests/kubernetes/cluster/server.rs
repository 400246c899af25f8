//! One process of the control plane.

use anyhow::{Context, Result, bail};
use forebay_tests::process::{self, Watchdog};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running server. It is gone when this is dropped, or when the test process ends.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    log: PathBuf,
    child: Child,
    _watchdog: Watchdog,
}

impl Server {
    /// Starts `program` in `folder`, which is removed if this process ends without having ended the server.
    pub fn start(name: &'static str, program: &mut Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log)?;
        program.current_dir(folder).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = program.spawn().with_context(|| format!("cannot start {name}"))?;
        let watchdog = Watchdog::over(child.id(), folder)?;
        Ok(Self { name, log, child, _watchdog: watchdog })
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// It has ended; the error holds the end of its log.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended ({status}):\n{}", self.name, self.log_tail()),
        }
    }

    /// The end of its log, for error messages.
    pub fn log_tail(&self) -> String {
        process::tail(&self.log, 20)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that is gone already is what was wanted; nothing of its data is needed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
