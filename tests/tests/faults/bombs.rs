//! Clients that mean harm, or are broken: they inflate, declare much and send little, or connect and say nothing. Memory stays in its
//! budget, and an innocent client is served all the while.

use crate::watch::Watch;
use flate2::Compression;
use flate2::write::GzEncoder;
use forebay_tests::Gateway;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
const BUDGET: u64 = 48 * MIB;
const CONFIG: &str = r#"
receivers:
  otlp:
    grpc: {listen: "127.0.0.1:{otlp_grpc}"}
    http: {listen: "127.0.0.1:{otlp_http}"}
    max_request_bytes: 16MiB
  json: {listen: "127.0.0.1:{json}", max_request_bytes: 16MiB}
sinks: {none: {type: blackhole}}
limits: {memory: 48MiB}
dead_letters: {path: "{dir}/letters"}
admin: {listen: "127.0.0.1:{admin}"}
"#;

fn zipped(inside: &[u8], times: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..times {
        encoder.write_all(inside).unwrap();
    }
    encoder.finish().unwrap()
}

/// Posts a body and returns the answer's status.
fn post(port: u16, path: &str, headers: &str, body: &[u8]) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    // It may be answered, and closed, before all was sent.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.take(4_096).read_to_end(&mut answer);
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|text| text.parse().ok());
    status.ok_or_else(|| std::io::Error::other("no answer"))
}

/// Says much of itself, and little else, until told to stop.
fn slow_sender(port: u16, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        while !stop.load(Relaxed) {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return };
            let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16000000\r\n\r\n{\"message\":\"";
            let mut goes_on = stream.write_all(head.as_bytes()).is_ok();
            while goes_on && !stop.load(Relaxed) {
                thread::sleep(Duration::from_millis(100));
                goes_on = stream.write_all(b"x").is_ok();
            }
        }
    })
}

#[test]
fn bombs_and_slow_and_silent_clients_stay_inside_the_budget() {
    let gateway = Gateway::start(CONFIG).unwrap();
    let ports = gateway.ports;
    // Code, threads and the first pages are paid for once.
    let ordinary = "{\"message\":\"an honest line\"}\n".repeat(20_000);
    for _ in 0..20 {
        assert_eq!(post(ports.json, "/", "", ordinary.as_bytes()).unwrap(), 200);
    }
    let base = gateway.rss_bytes().unwrap();
    let watch = Watch::over(&gateway);

    let silent: Vec<TcpStream> = [ports.json, ports.otlp_http, ports.otlp_grpc]
        .into_iter()
        .flat_map(|port| (0..700).map(move |_| TcpStream::connect(("127.0.0.1", port)).unwrap()))
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let slow: Vec<_> = (0..120).map(|_| slow_sender(ports.json, &stop)).collect();
    let bomb = zipped(&vec![b' '; 1 << 20], 1_024);
    let nested = zipped(&bomb, 1);
    assert!(bomb.len() < 2 << 20);
    let began = Instant::now();
    let bombers: Vec<_> = (0..8)
        .map(|number| {
            let (bomb, nested, stop) = (bomb.clone(), nested.clone(), Arc::clone(&stop));
            thread::spawn(move || {
                let mut statuses = Vec::new();
                while !stop.load(Relaxed) {
                    let body = if number % 4 == 3 { &nested } else { &bomb };
                    let (port, path, kind) = match number % 2 {
                        0 => (ports.json, "/", "Content-Type: application/json\r\n"),
                        _ => (ports.otlp_http, "/v1/logs", "Content-Type: application/x-protobuf\r\n"),
                    };
                    let headers = format!("{kind}Content-Encoding: gzip\r\n");
                    statuses.extend(post(port, path, &headers, body));
                }
                statuses
            })
        })
        .collect();
    let mut served = [0_u32; 2];
    while began.elapsed() < Duration::from_secs(15) {
        let status = post(ports.json, "/", "", b"{\"message\":\"innocent\"}\n").unwrap();
        served[usize::from(status == 200)] += 1;
        thread::sleep(Duration::from_millis(20));
    }
    stop.store(true, Relaxed);
    let mut statuses: Vec<u16> = bombers.into_iter().flat_map(|bomber| bomber.join().unwrap()).collect();
    let peak = watch.peak();
    drop(silent);
    slow.into_iter().for_each(|slow| slow.join().unwrap());
    let bombs = statuses.len();
    statuses.sort_unstable();
    statuses.dedup();
    println!(
        "bombs: {bombs} bombs answered {statuses:?}, innocent requests served {} and put off {}; budget at most {:.1} of \
         {} MiB, resident {:.1} MiB before, {:.1} MiB at most",
        served[1],
        served[0],
        peak.budget_used / MIB as f64,
        BUDGET / MIB,
        base as f64 / MIB as f64,
        peak.rss as f64 / MIB as f64
    );
    assert!(bombs > 20 && statuses.iter().all(|status| [400, 413, 503].contains(status)), "{statuses:?}");
    assert!(served[1] > 100 && served[0] * 10 <= served[1], "{served:?}");
    assert!(peak.budget_used <= BUDGET as f64, "{peak:?}");
    assert!(peak.rss <= base + BUDGET * 105 / 100, "{peak:?}, {base} before");
    gateway.balanced_ledger(Duration::from_secs(60)).unwrap();
}
