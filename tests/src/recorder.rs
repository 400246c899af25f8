//! An HTTP server that does nothing but remember what it was asked: for scripts that set up servers which are not at hand.

use crate::http::{Answer, Request, read_request};
use crate::ports;
use anyhow::Result;
use parking_lot::Mutex;
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

/// Answers until it is dropped.
#[derive(Debug)]
pub struct Recorder {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    answer: fn(&Request) -> (u16, &'static str),
    requests: Mutex<Vec<Request>>,
    stopped: AtomicBool,
}

impl Recorder {
    /// Listens on a free port of 127.0.0.1. `answer` gives status and JSON body for each request.
    pub fn start(answer: fn(&Request) -> (u16, &'static str)) -> Result<Self> {
        let [port] = ports::free()?;
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let shared = Arc::new(Shared { answer, requests: Mutex::default(), stopped: AtomicBool::new(false) });
        let of_thread = Arc::clone(&shared);
        let accepting = Some(thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.stopped.load(Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                // One after the other. A client that breaks off is not what is tested.
                let _ = serve(stream, &of_thread);
            }
        }));
        Ok(Self { port, shared, accepting })
    }

    /// Its address, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it was asked since the last time, in order.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.requests.lock())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Relaxed);
        // Wakes the thread that accepts; a failure means that it is gone.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let (status, body) = (shared.answer)(&request);
        shared.requests.lock().push(request);
        Answer::json(status, body.as_bytes().to_vec()).write(&mut writer)?;
    }
    Ok(())
}
