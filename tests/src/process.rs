//! Processes as the tests need them: run to the end, signal, watch, measure.

use anyhow::{Context, Result, bail, ensure};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Between two looks at something that is awaited.
const POLL: Duration = Duration::from_millis(50);

/// Clock ticks per second in `/proc/<pid>/stat`: a constant of Linux's interface on every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Lines of a program's output that an error message shows.
const SHOWN_LINES: usize = 20;

/// Runs `command` to its end.
///
/// # Errors
/// The program cannot be started, or ends with another status than 0; then the error holds the end of its output.
pub fn run(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    ensure!(
        output.status.success(),
        "{name} failed ({}):\n{}\n{}",
        output.status,
        last_lines(&String::from_utf8_lossy(&output.stdout), SHOWN_LINES),
        last_lines(&String::from_utf8_lossy(&output.stderr), SHOWN_LINES),
    );
    Ok(output)
}

/// Calls `probe` until it gives a value, at most for `timeout`. An error of `probe` ends the wait.
pub fn wait_until<T>(
    what: &str,
    timeout: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(value) = probe().with_context(|| format!("while waiting for {what}"))? {
            return Ok(value);
        }
        ensure!(Instant::now() < deadline, "waited {timeout:?} in vain for {what}");
        std::thread::sleep(POLL);
    }
}

/// A program in PATH.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    // The owner of a process's folder in /proc is its effective user.
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Sends a signal by name (`TERM`, `STOP`, `CONT`, `KILL`) to one process.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    run(Command::new("kill").arg(format!("-{name}")).arg(pid.to_string())).map(drop)
}

/// Whether the process exists and has not ended. A zombie has ended: its parent need not be ours to reap it.
pub fn alive(pid: u32) -> bool {
    stat_fields(pid).is_ok_and(|fields| !matches!(fields.first().map(String::as_str), Some("Z" | "X") | None))
}

/// Waits until the process has ended.
pub fn wait_gone(pid: u32, timeout: Duration) -> Result<()> {
    wait_until(&format!("the end of process {pid}"), timeout, || Ok((!alive(pid)).then_some(())))
}

/// User plus system CPU time of the process and its threads so far, in seconds.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let fields = stat_fields(pid)?;
    let mut ticks = 0.0;
    for index in [11, 12] {
        ticks += fields.get(index).context("short /proc/<pid>/stat")?.parse::<f64>()?;
    }
    Ok(ticks / TICKS_PER_SECOND)
}

/// Resident memory of the process, in bytes.
pub fn rss_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    for line in status.lines() {
        if let Some(size) = line.strip_prefix("VmRSS:") {
            let kibibytes: u64 = size.trim().trim_end_matches(" kB").parse()?;
            return Ok(kibibytes * 1024);
        }
    }
    bail!("process {pid} has no VmRSS: it has ended")
}

/// The fields of `/proc/<pid>/stat` behind the command's name, the state first (proc(5)).
fn stat_fields(pid: u32) -> Result<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name is in brackets and may itself hold spaces and brackets.
    let (_, fields) = stat.rsplit_once(')').context("odd /proc/<pid>/stat")?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}

/// The last `count` lines of a file, for error messages; empty if it cannot be read.
pub fn tail(file: &Path, count: usize) -> String {
    last_lines(&std::fs::read_to_string(file).unwrap_or_default(), count)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Ends a server when this process ends without having done so: on Ctrl-C, on an abort, and for servers kept in a
/// `static`, which is never dropped. Dropping the watchdog calls it off.
#[derive(Debug)]
pub struct Watchdog(Child);

impl Watchdog {
    /// Watches over process `pid` and `folder`, which is removed after the kill.
    pub fn over(pid: u32, folder: &Path) -> Result<Self> {
        let script = r#"tail --pid="$1" -f /dev/null; kill -KILL "$2"; rm -rf "$3""#;
        let child = Command::new("sh")
            .args(["-c", script, "watchdog", &std::process::id().to_string(), &pid.to_string()])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own: a Ctrl-C at the terminal must not reach it.
            .process_group(0)
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        // Nothing is left to do about a failure here: the group is gone already.
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}
