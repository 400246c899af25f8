//! Every fault as a client sees it, in front of a server that stores everything it gets.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::http::{Answer, Request, read_request};
use serde_json::{Value, json};
use std::io::BufReader;
use std::time::Instant;

const DOCUMENTS: usize = 40;
/// Of the client: a hang ends with it.
const PATIENCE: Duration = Duration::from_millis(600);

/// A server that answers every document with 201, and keeps the numbers of those that it got.
struct Upstream {
    port: u16,
    stored: Arc<Mutex<Vec<u64>>>,
}

impl Upstream {
    fn start() -> Self {
        let [port] = ports::free().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let stored = Arc::new(Mutex::new(Vec::new()));
        let of_thread = Arc::clone(&stored);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stored = Arc::clone(&of_thread);
                thread::spawn(move || answer_all(stream.unwrap(), &stored));
            }
        });
        Self { port, stored }
    }
}

fn answer_all(stream: TcpStream, stored: &Mutex<Vec<u64>>) {
    let mut out = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Ok(Some(Request { target, body, .. })) = read_request(&mut reader) {
        let said = if target.contains("/_bulk") {
            let documents = bulk::documents(&body).unwrap();
            for document in &documents {
                let line = document.split(|byte| *byte == b'\n').nth(1).unwrap();
                stored.lock().push(serde_json::from_slice::<Value>(line).unwrap()["n"].as_u64().unwrap());
            }
            json!({"errors": false, "items": vec![json!({"create": {"status": 201}}); documents.len()]})
        } else {
            json!({"target": target})
        };
        Answer::json(200, said.to_string().into_bytes()).write(&mut out).unwrap();
    }
}

/// Status and body of one bulk request, or no answer; and which documents the server got, in how many requests.
struct Seen {
    answer: Option<(u16, Vec<u8>)>,
    stored: Vec<u64>,
    took: Duration,
}

fn bulk_through(proxy: &FaultProxy, upstream: &Upstream) -> Seen {
    upstream.stored.lock().clear();
    let mut body = String::new();
    for n in 0..DOCUMENTS {
        body.push_str(&format!("{{\"create\":{{}}}}\n{{\"n\":{n}}}\n"));
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .build()
        .into();
    let began = Instant::now();
    let sent = agent.post(format!("{}/index/_bulk?x=y", proxy.url())).send(body.as_bytes());
    let answer = sent.ok().and_then(|mut response| {
        let body = response.body_mut().read_to_vec().ok()?;
        Some((response.status().as_u16(), body))
    });
    let took = began.elapsed();
    let mut stored = upstream.stored.lock().clone();
    stored.sort_unstable();
    stored.dedup();
    Seen { answer, stored, took }
}

/// The statuses in an answer that can be read.
fn statuses(body: &[u8]) -> Option<Vec<u64>> {
    let parsed: Value = serde_json::from_slice(body).ok()?;
    parsed["items"].as_array()?.iter().map(|item| item["create"]["status"].as_u64()).collect()
}

fn check(fault: Fault, seen: &Seen) {
    let whole = seen.stored.len() == DOCUMENTS;
    let items = seen.answer.as_ref().and_then(|(_, body)| statuses(body));
    let status = seen.answer.as_ref().map(|(status, _)| *status);
    match fault {
        Fault::Latency => assert!(whole && items == Some(vec![201; DOCUMENTS])),
        Fault::RequestTooMany => assert!(seen.stored.is_empty() && status == Some(429)),
        Fault::RequestUnavailable => assert!(seen.stored.is_empty() && status == Some(503)),
        Fault::TooLarge => assert!(seen.stored.is_empty() && status == Some(413)),
        Fault::ItemsTooMany | Fault::ItemsUnavailable => {
            let refused = if fault == Fault::ItemsTooMany { 429 } else { 503 };
            let said = items.unwrap();
            assert!(said.contains(&refused) && said.len() == DOCUMENTS, "{said:?}");
            for (n, status) in said.iter().enumerate() {
                assert_eq!(seen.stored.contains(&(n as u64)), *status == 201, "document {n}: {status}");
            }
        }
        Fault::Hang => assert!(status.is_none() && seen.took >= PATIENCE),
        Fault::ResetBefore => assert!(status.is_none() && seen.stored.is_empty() && seen.took < PATIENCE),
        Fault::ResetMiddle | Fault::Lost => assert!(status.is_none() && seen.took < PATIENCE),
        Fault::Truncated => assert_eq!(items, None),
        Fault::ShortAnswer => {
            let said = items.unwrap();
            assert!(said.len() < DOCUMENTS && said.iter().all(|status| *status == 201), "{said:?}");
        }
        Fault::ExtraItems => assert!(items.unwrap().len() > DOCUMENTS),
    }
}

#[test]
fn every_fault_is_what_it_says() {
    let upstream = Upstream::start();
    let proxy = FaultProxy::start(&format!("http://127.0.0.1:{}", upstream.port)).unwrap();
    for fault in Fault::ALL {
        let mut was_whole = [false; 2];
        for seed in 0..6 {
            // Longer than the client's patience now and then, which is another fault.
            if fault == Fault::Latency && seed > 0 {
                continue;
            }
            proxy.begin(if fault == Fault::Latency { quick_seed() } else { seed }, Mix::always(fault));
            let seen = bulk_through(&proxy, &upstream);
            check(fault, &seen);
            was_whole[usize::from(seen.stored.len() == DOCUMENTS)] = true;
        }
        if matches!(fault, Fault::ResetMiddle | Fault::Truncated | Fault::ShortAnswer | Fault::Lost) {
            assert_eq!(was_whole, [true; 2], "{fault:?}: stored in part and as a whole");
        }
        assert!(proxy.fired()[fault as usize] > 0, "{fault:?}");
    }
}

/// A seed whose first latency is short.
fn quick_seed() -> u64 {
    (0..)
        .find(|seed| {
            let mut random = crate::seeded::Random::of(&[*seed, 0]);
            random.next();
            random.within(connection::LATENCY_MS) < 100
        })
        .unwrap()
}

#[test]
fn without_a_phase_and_beside_bulks_everything_passes() {
    let upstream = Upstream::start();
    let proxy = FaultProxy::start(&format!("http://127.0.0.1:{}", upstream.port)).unwrap();
    let seen = bulk_through(&proxy, &upstream);
    assert_eq!((statuses(&seen.answer.unwrap().1), seen.stored.len()), (Some(vec![201; 40]), 40));
    assert_eq!((proxy.passed(), proxy.fired()), (1, [0; KINDS]));
    proxy.begin(1, Mix::always(Fault::ResetBefore));
    let other = ureq::get(format!("{}/_cluster/health?a=b", proxy.url())).call().unwrap();
    let said: Value = serde_json::from_reader(other.into_body().into_reader()).unwrap();
    assert_eq!(said["target"], "/_cluster/health?a=b");
    proxy.calm();
    assert_eq!(bulk_through(&proxy, &upstream).stored.len(), DOCUMENTS);
}
