//! CPU time and memory of a process tree from `/proc`, and pinning with `taskset`.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Length of a clock tick in `/proc`: `USER_HZ` is 100 on every architecture that Linux and Rust share.
const TICK: Duration = Duration::from_millis(10);

/// Processes looked at in one tree; a gateway has no children, a launcher has one.
const MAX_PROCESSES: usize = 64;

/// CPU time of a process, its threads, its children and the children it has waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cpu {
    pub user: Duration,
    pub system: Duration,
}

impl Cpu {
    /// User and system time.
    #[must_use]
    pub fn total(self) -> Duration {
        self.user + self.system
    }

    /// What was used since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }

    /// CPU time so far of the process `pid` and all below it, to 10 ms.
    ///
    /// # Errors
    /// The process is gone, or `/proc` is not that of Linux.
    pub fn of_tree(pid: u32) -> Result<Self> {
        let mut total = own(pid)?;
        let mut waiting = children(pid);
        let mut seen = 1;
        while let Some(child) = waiting.pop() {
            seen += 1;
            if seen > MAX_PROCESSES {
                bail!("more than {MAX_PROCESSES} processes below {pid}");
            }
            // A child may end between being listed and being read; its time is then its parent's.
            if let Ok(cpu) = own(child) {
                total.user += cpu.user;
                total.system += cpu.system;
            }
            waiting.extend(children(child));
        }
        Ok(total)
    }
}

fn own(pid: u32) -> Result<Cpu> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
    parse_stat(&stat).with_context(|| format!("/proc/{pid}/stat: {stat}"))
}

/// Fields 14 to 17 of `proc(5)`: utime, stime, cutime, cstime.
fn parse_stat(stat: &str) -> Option<Cpu> {
    // The second field is a name in parentheses that may hold anything.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut ticks = after_name.split_ascii_whitespace().skip(11).map(|field| field.parse::<u32>().ok());
    let (user, system) = (ticks.next()??, ticks.next()??);
    let (waited_user, waited_system) = (ticks.next()??, ticks.next()??);
    Some(Cpu { user: TICK * (user + waited_user), system: TICK * (system + waited_system) })
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        let listed = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(listed.split_ascii_whitespace().filter_map(|field| field.parse::<u32>().ok()));
    }
    found
}

/// The largest resident set that the process `pid` has had, in bytes.
///
/// # Errors
/// The process is gone, or `/proc` is not that of Linux.
pub fn peak_memory(pid: u32) -> Result<u64> {
    memory(pid, "VmHWM:")
}

/// The resident set of the process `pid` now, in bytes.
///
/// # Errors
/// The process is gone, or `/proc` is not that of Linux.
pub fn resident_memory(pid: u32) -> Result<u64> {
    memory(pid, "VmRSS:")
}

fn memory(pid: u32, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such line in /proc")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().context("a size in /proc")?;
    Ok(kib * 1024)
}

/// Pins this process, all its threads, to `cpus` (a list as `taskset` reads it).
///
/// # Errors
/// `taskset` is not installed (package util-linux), or there is no such CPU.
pub fn pin_self(cpus: &str) -> Result<()> {
    let pid = std::process::id().to_string();
    let output = Command::new("taskset")
        .args(["-a", "-c", "-p", cpus, &pid])
        .output()
        .context("running taskset (package util-linux)")?;
    if !output.status.success() {
        bail!("taskset -c {cpus}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_stat_line_with_an_odd_name_is_read() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 31 2 1 20 0 4 0 100 1 1";
        let cpu = parse_stat(line).unwrap();
        assert_eq!((cpu.user.as_millis(), cpu.system.as_millis()), (2520, 320));
        assert_eq!(parse_stat("7 (x) S 1"), None);
    }

    #[test]
    fn work_shows_in_the_figures() {
        let pid = std::process::id();
        let before = Cpu::of_tree(pid).unwrap();
        let mut sum = 0u64;
        while Cpu::of_tree(pid).unwrap().since(before).total() < Duration::from_millis(30) {
            sum = (0..1_000_000).fold(sum, |total, number: u64| total.wrapping_mul(31) ^ number);
        }
        assert_ne!(sum, 1);
        assert!(peak_memory(pid).unwrap() > 1 << 20);
        assert!(Cpu::of_tree(u32::MAX).is_err());
    }

    #[test]
    fn a_child_counts() {
        let mut child = Command::new("sleep").arg("5").spawn().unwrap();
        assert!(children(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
