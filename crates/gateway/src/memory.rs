//! How much memory this process may use: the container's limit, else the machine's memory.

use crate::cgroup;
use std::fs;
use std::path::Path;

/// The share of the available memory that payloads may hold. The rest is for code, tables, sockets and the allocator's reserve.
const BUDGET_PERCENT: usize = 40;
/// The budget where neither a limit nor the machine's memory can be read.
const FALLBACK_BYTES: usize = 256 << 20;

/// The default budget in bytes.
pub fn default_budget() -> usize {
    available().map_or(FALLBACK_BYTES, |bytes| bytes / 100 * BUDGET_PERCENT)
}

/// Bytes that this process can count on: the smaller of the container's limit and the machine's memory.
pub fn available() -> Option<usize> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| parse_meminfo(&text));
    cgroup::memory_limit(Path::new("/")).into_iter().chain(machine).min()
}

fn parse_meminfo(text: &str) -> Option<usize> {
    let kilobytes: usize = text.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_machines_memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(parse_meminfo("MemTotal:       24689732 kB\nMemFree: 1 kB\n"), Some(24_689_732 * 1024));
        assert_eq!(parse_meminfo(""), None);
    }
}
