//! The control groups that this process is in. A container sees its own at the top of the hierarchy; a process in a slice of its own, as
//! systemd's `MemoryMax` makes one, sees all of it, and the limit is further down.

use std::fs;
use std::path::{Component, Path};

/// The least memory limit, in bytes, of this process's control group and those above it, of either version (cgroups(7);
/// docs.kernel.org, "cgroup-v2" and "cgroup-v1/memory"). `root` is `/`, but for tests. `None`: none is set, or none can be seen.
pub fn memory_limit(root: &Path) -> Option<usize> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let hierarchies = mounts.lines().filter_map(Hierarchy::parse);
    hierarchies.filter_map(|hierarchy| hierarchy.least_limit(root, &groups)).min()
}

/// A mounted hierarchy that can limit memory.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy<'m> {
    /// What `/proc/self/cgroup` calls it: version 2 has no name there.
    controller: &'static str,
    /// Of a group: its limit.
    file: &'static str,
    /// The group at the top of the mount.
    top: &'m str,
    mounted_at: &'m str,
}

impl<'m> Hierarchy<'m> {
    /// A line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
    fn parse(line: &'m str) -> Option<Self> {
        let (place, source) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (top, mounted_at) = (place.next()?, place.next()?);
        let mut source = source.split(' ');
        let (kind, options) = (source.next()?, source.nth(1)?);
        let (controller, file) = match kind {
            "cgroup2" => ("", "memory.max"),
            "cgroup" if options.split(',').any(|option| option == "memory") => {
                ("memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        Some(Self { controller, file, top, mounted_at })
    }

    fn least_limit(&self, root: &Path, groups: &str) -> Option<usize> {
        let own = groups.lines().find_map(|line| self.own_group(line))?;
        let mounted_at = root.join(self.mounted_at.trim_start_matches('/'));
        let own = mounted_at.join(own);
        let around = own.ancestors().take_while(|group| group.starts_with(&mounted_at));
        around.filter_map(|group| parse_limit(&fs::read_to_string(group.join(self.file)).ok()?)).min()
    }

    /// The process's group below the top of the mount, by a line of `/proc/self/cgroup`: `4:memory:/a/b`, or `0::/a/b`. The top
    /// itself, if the group lies outside of what is mounted.
    fn own_group<'g>(&self, line: &'g str) -> Option<&'g Path> {
        let mut parts = line.splitn(3, ':').skip(1);
        let (mut controllers, group) = (parts.next()?.split(','), parts.next()?);
        if !controllers.any(|controller| controller == self.controller) {
            return None;
        }
        let below = Path::new(group).strip_prefix(self.top).unwrap_or(Path::new(""));
        let is_plain = below.components().all(|part| matches!(part, Component::Normal(_)));
        Some(if is_plain { below } else { Path::new("") })
    }
}

/// `max` (version 2) means that there is no limit; version 1 says a number that no machine has.
fn parse_limit(text: &str) -> Option<usize> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tempfile::TempDir;

    const V1: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n";
    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const NONE: &str = "9223372036854771712\n";

    /// A file system with these files.
    fn files(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        root
    }

    fn limit(all: &[(&str, &str)]) -> Option<usize> {
        memory_limit(files(all).path())
    }

    #[test]
    fn a_container_finds_its_limit_at_the_top() {
        let v2 = [
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/memory.max", "134217728\n"),
        ];
        assert_eq!(limit(&v2), Some(128 << 20));
        let v1 = [
            ("proc/self/cgroup", "4:memory:/\n0::/\n"),
            ("proc/self/mountinfo", V1),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n"),
        ];
        assert_eq!(limit(&v1), Some(64 << 20));
    }

    #[test]
    fn the_least_limit_on_the_way_up_holds() {
        let v2 = [
            ("proc/self/cgroup", "0::/system.slice/forebay.service\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/system.slice/forebay.service/memory.max", "max\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "3000000\n"),
            // No file at the root of the hierarchy, and somebody else's group.
            ("sys/fs/cgroup/other.slice/memory.max", "1000\n"),
        ];
        assert_eq!(limit(&v2), Some(3_000_000));
        let v1 = [
            ("proc/self/cgroup", "11:cpuset:/x\n4:hugetlb,memory:/a/b\n"),
            ("proc/self/mountinfo", V1),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", NONE),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", NONE),
            ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "5000000\n"),
            ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1000\n"),
        ];
        assert_eq!(limit(&v1), Some(5_000_000));
    }

    /// Docker with version 1: the process is told its place on the host, of which the container sees a part.
    #[test]
    fn a_mount_may_begin_further_down() {
        let mounts = "600 590 0:32 /docker/1f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        for group in ["4:memory:/docker/1f\n", "4:memory:/elsewhere\n", "4:memory:/docker/1f/../../x\n"] {
            let v1 = [
                ("proc/self/cgroup", group),
                ("proc/self/mountinfo", mounts),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "7000000\n"),
            ];
            assert_eq!(limit(&v1), Some(7_000_000), "{group}");
        }
    }

    /// Version 2 beside version 1, as systemd mounts both: memory is in one of them.
    #[test]
    fn both_versions_are_looked_at() {
        let mounts = format!("{V1}41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        let both = [
            ("proc/self/cgroup", "4:memory:/a\n0::/b\n"),
            ("proc/self/mountinfo", mounts.as_str()),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9000000\n"),
            ("sys/fs/cgroup/unified/b/cgroup.procs", ""),
        ];
        assert_eq!(limit(&both), Some(9_000_000));
    }

    #[test]
    fn nothing_to_be_seen_is_no_limit() {
        assert_eq!(limit(&[]), None);
        let unlimited = [
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/memory.max", "max\n"),
        ];
        assert_eq!(limit(&unlimited), None);
        let odd = [("proc/self/cgroup", "x\n:\n4:memory\n"), ("proc/self/mountinfo", "1 - cgroup\n - \n")];
        assert_eq!(limit(&odd), None);
    }
}
