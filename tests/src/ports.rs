//! Ports on the loopback interface that nobody uses.

use anyhow::{Result, bail};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Below Linux's ephemeral range (from 32768): while a server is down, a client that keeps dialling a port of that
/// range may be given the very port as its own source and connect to itself, and the server could not come back.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// How far two test processes with neighbouring process ids start apart.
const STRIDE: u32 = 64;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// `N` different free TCP ports of 127.0.0.1. No two calls of one process give the same.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    for port in &mut ports {
        *port = next_free()?;
    }
    Ok(ports)
}

fn next_free() -> Result<u16> {
    let start = std::process::id().wrapping_mul(STRIDE);
    for _ in 0..COUNT {
        let offset = start.wrapping_add(TAKEN.fetch_add(1, Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + offset)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + COUNT)
}
