//! A control group of a test's own: a process in it has the memory and the CPU of a container with such limits.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the hierarchies of version 1 are mounted (cgroups(7)).
const MOUNTED_AT: &str = "/sys/fs/cgroup";
/// Of the CPU's quota, in microseconds.
const PERIOD: u64 = 100_000;

/// A group in the hierarchies `memory` and `cpu`; gone when this is dropped, if nobody is in it.
#[derive(Debug)]
pub struct ControlGroup {
    memory: PathBuf,
    cpu: PathBuf,
}

impl ControlGroup {
    /// A group below the one that this process is in.
    ///
    /// # Errors
    /// There are no such hierarchies of version 1, or this process may not write to them.
    pub fn new(memory_bytes: u64, cpus: u64) -> Result<Self> {
        let group = Self { memory: child("memory")?, cpu: child("cpu")? };
        group.set(&group.memory, "memory.limit_in_bytes", memory_bytes)?;
        group.set(&group.cpu, "cpu.cfs_period_us", PERIOD)?;
        group.set(&group.cpu, "cpu.cfs_quota_us", cpus * PERIOD)?;
        Ok(group)
    }

    fn set(&self, group: &Path, file: &str, value: u64) -> Result<()> {
        let file = group.join(file);
        fs::write(&file, value.to_string()).with_context(|| format!("cannot write {}", file.display()))
    }

    /// A command that goes into the group and becomes this program.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo $$ >"$1" && echo $$ >"$2" && shift 2 && exec "$@""#, "group"]);
        command.args([&self.memory, &self.cpu].map(|group| group.join("cgroup.procs"))).arg(program);
        command
    }

    /// The most memory that was ever taken in it, in bytes, with the pages of files that were read and written.
    pub fn peak_bytes(&self) -> Result<u64> {
        let peak = fs::read_to_string(self.memory.join("memory.max_usage_in_bytes"))?;
        Ok(peak.trim().parse()?)
    }

    /// How many processes were killed in it for want of memory.
    pub fn killed(&self) -> Result<u64> {
        let text = fs::read_to_string(self.memory.join("memory.oom_control"))?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Ok(count.context("the kernel does not count what it kills")?.parse()?)
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // One that somebody is in stays; it costs nothing.
        for group in [&self.memory, &self.cpu] {
            let _ = fs::remove_dir(group);
        }
    }
}

/// Makes a group below this process's own in one hierarchy.
fn child(controller: &str) -> Result<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let own = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let is_it = parts.next()?.split(',').any(|name| name == controller);
        parts.next().filter(|_| is_it)
    });
    let own = own.with_context(|| format!("no hierarchy of version 1 has {controller}"))?;
    let name = format!("forebay-test-{}", std::process::id());
    let group = Path::new(MOUNTED_AT).join(controller).join(own.trim_start_matches('/')).join(name);
    fs::create_dir(&group).with_context(|| format!("cannot make {}", group.display()))?;
    Ok(group)
}
