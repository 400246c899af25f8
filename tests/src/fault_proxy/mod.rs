//! A proxy in front of Elasticsearch that does to bulk requests what networks and clusters do to them.
//!
//! Each bulk request passes or gets one [`Fault`], by a seed and a [`Mix`] that may change with time. All other requests
//! pass untouched. One thread a connection: the gateway has few, and a blocked thread is the simplest hang.

mod bulk;
mod connection;
mod fault;

pub use fault::{Fault, KINDS, Mix};

use crate::ports;
use anyhow::Result;
use fault::Judge;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Longest wait for Elasticsearch itself.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(60);
/// Most connections at once; the next is closed at once.
const MAX_CONNECTIONS: usize = 256;

/// A running proxy on 127.0.0.1. Its connections are cut when this is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// Address of Elasticsearch, without a slash at the end.
    upstream: String,
    agent: ureq::Agent,
    judge: Judge,
    stopped: AtomicBool,
    /// Those that are open, to be cut at the end.
    connections: Mutex<BTreeMap<u64, TcpStream>>,
}

impl FaultProxy {
    /// Starts a proxy in front of the server at this address. It passes everything until told otherwise.
    pub fn start(upstream: &str) -> Result<Self> {
        let [port] = ports::free()?;
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(UPSTREAM_TIMEOUT))
            .http_status_as_error(false)
            .build()
            .into();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            agent,
            judge: Judge::default(),
            stopped: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let of_thread = Arc::clone(&shared);
        let accepting = Some(thread::spawn(move || accept(&listener, &of_thread)));
        Ok(Self { port, shared, accepting })
    }

    /// Its address, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Begins a phase: from now on faults come as `mix` says, the same ones in the same order for the same seed.
    pub fn begin(&self, seed: u64, mix: Mix) {
        self.shared.judge.begin(seed, mix);
    }

    /// From now on everything passes.
    pub fn calm(&self) {
        self.begin(0, Mix::default());
    }

    /// How often each kind was done so far, in the order of [`Fault::ALL`].
    pub fn fired(&self) -> [u64; KINDS] {
        self.shared.judge.counts()
    }

    /// Bulk requests that passed unharmed so far.
    pub fn passed(&self) -> u64 {
        self.shared.judge.passed.load(Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Relaxed);
        // Wakes the thread that accepts; a failure means that it is gone.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        for connection in self.shared.connections.lock().values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut number = 0;
    for stream in listener.incoming() {
        if shared.stopped.load(Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(handle) = stream.try_clone() else { continue };
        number += 1;
        {
            let mut connections = shared.connections.lock();
            if connections.len() >= MAX_CONNECTIONS {
                continue;
            }
            connections.insert(number, handle);
        }
        let of_thread = Arc::clone(shared);
        thread::spawn(move || {
            // An error ends the connection, as it would anywhere between a gateway and its cluster.
            let _ = connection::serve(stream, &of_thread);
            of_thread.connections.lock().remove(&number);
        });
    }
}

#[cfg(test)]
mod tests;
