//! A TCP proxy that gives every connection to the next backend, as the Service of a cluster does. A backend that is taken out gets
//! no further connections and keeps those that it has.

use crate::ports;
use crate::runtime::RUNTIME;
use anyhow::Result;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct RoundRobin {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    backends: Mutex<Backends>,
    in_vain: AtomicU64,
}

#[derive(Debug, Default)]
struct Backends {
    ports: Vec<u16>,
    given: usize,
}

impl RoundRobin {
    /// Listens on a free port of 127.0.0.1. Without backends it ends every connection.
    pub fn start() -> Result<Self> {
        let [port] = ports::free()?;
        let shared = Arc::new(Shared::default());
        let listener = RUNTIME.block_on(TcpListener::bind(("127.0.0.1", port)))?;
        let accepting = RUNTIME.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { port, shared, accepting })
    }

    /// Where clients connect to, as `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on a backend on this port of 127.0.0.1 gets its share of new connections.
    pub fn put_in(&self, port: u16) {
        self.shared.backends.lock().ports.push(port);
    }

    /// From now on the backend on this port gets no new connections.
    pub fn take_out(&self, port: u16) {
        self.shared.backends.lock().ports.retain(|backend| *backend != port);
    }

    /// Connections given to a backend that did not take them, or that no backend was there for.
    pub fn in_vain(&self) -> u64 {
        self.shared.in_vain.load(Relaxed)
    }

    /// Connections given to backends so far.
    pub fn given(&self) -> usize {
        self.shared.backends.lock().given
    }
}

impl Drop for RoundRobin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        // One that has gone before it was taken.
        let Ok((client, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        RUNTIME.spawn(async move { forward(client, &shared).await });
    }
}

/// Forwards one connection to its end. Without a backend that takes it, it ends at once.
async fn forward(mut client: TcpStream, shared: &Shared) {
    let Some(mut backend) = shared.connect().await else {
        shared.in_vain.fetch_add(1, Relaxed);
        return;
    };
    // As a packet filter would: no packet waits for the next. How the connection ends is between the two.
    let _ = client.set_nodelay(true).and(backend.set_nodelay(true));
    let _ = copy_bidirectional(&mut client, &mut backend).await;
}

impl Shared {
    async fn connect(&self) -> Option<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.next()?)).await.ok()
    }

    fn next(&self) -> Option<u16> {
        let mut backends = self.backends.lock();
        let count = backends.ports.len();
        let port = *backends.ports.get(backends.given.checked_rem(count)?)?;
        backends.given += 1;
        Some(port)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::io::{Read, Write};
    use std::net;

    /// Greets whoever connects with one byte, its name, and says nothing more.
    fn backend(name: u8) -> u16 {
        let [port] = ports::free().unwrap();
        let listener = net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.write_all(&[name]).unwrap();
                kept.push(stream);
            }
        });
        port
    }

    fn greeted(proxy: &RoundRobin) -> (net::TcpStream, String) {
        let mut stream = net::TcpStream::connect(proxy.address()).unwrap();
        let mut name = [0];
        let count = stream.read(&mut name).unwrap_or(0);
        (stream, String::from_utf8_lossy(&name[..count]).into_owned())
    }

    #[test]
    fn backends_take_turns_until_they_are_taken_out() {
        let proxy = RoundRobin::start().unwrap();
        assert_eq!((greeted(&proxy).1.as_str(), proxy.in_vain()), ("", 1));
        let (first, second) = (backend(b'a'), backend(b'b'));
        proxy.put_in(first);
        proxy.put_in(second);
        let mut open: Vec<_> = (0..4).map(|_| greeted(&proxy)).collect();
        let names: String = open.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, "abab");
        proxy.take_out(first);
        assert_eq!([greeted(&proxy).1, greeted(&proxy).1].concat(), "bb");
        // What the first has goes on.
        let (kept, _) = &mut open[0];
        kept.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
        let waits = kept.read(&mut [0]).unwrap_err();
        assert_eq!(waits.kind(), std::io::ErrorKind::WouldBlock);
        let [dead] = ports::free().unwrap();
        proxy.take_out(second);
        proxy.put_in(dead);
        assert_eq!((greeted(&proxy).1.as_str(), proxy.in_vain()), ("", 2));
        assert_eq!(proxy.given(), 7);
    }
}
