//! One tenant sends a hundred times its quota; another must not notice it.
//!
//! Slices come in threes: quiet, noisy, quiet. Each noisy one is compared with the quiet ones around it, and the median of all threes decides.
//! How far the two quiet slices of a three lie apart is what the machine does by itself: by that, and by how many threes there are, the median may be
//! wrong, and that is the slack.

use crate::world::lasting;
use forebay_tests::{Gateway, process, wait_until};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Records per second that the noisy tenant may send, and how many times that it sends.
const QUOTA: u64 = 500;
const TIMES: u64 = 100;
/// Records in one of its requests, and the connections that it sends them on.
const BATCH: usize = 500;
const NOISY_CONNECTIONS: u64 = 4;
/// Between two requests of the quiet tenant.
const PACE: Duration = Duration::from_millis(4);
const THREES: usize = 15;
/// The quiet tenant's p99 may grow by this factor, in slices of `FULL`. In short ones it is made of two or three requests of an unoptimised build.
const MOST: f64 = 1.10;
const MOST_IN_SHORT: f64 = 1.50;
const FULL: Duration = Duration::from_secs(5);

/// A connection of a tenant that sends the same request again and again.
struct Client {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
}

impl Client {
    fn connect(gateway: &Gateway, tenant: &str, records: usize) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", gateway.ports.json)).unwrap();
        stream.set_nodelay(true).unwrap();
        let body = "{\"message\":\"a line as applications write them\",\"level\":\"info\"}\n".repeat(records);
        let request = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nx-scope-orgid: {tenant}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { stream: BufReader::new(stream), request: request.into_bytes() }
    }

    /// Sends it, and returns the status of the answer.
    fn send(&mut self) -> u16 {
        self.stream.get_mut().write_all(&self.request).unwrap();
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let line = head.len();
            self.stream.read_line(&mut head).unwrap();
            match head[line..].trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(_) => {}
                None if line > 0 => break,
                // The status line.
                None => {}
            }
        }
        self.stream.read_exact(&mut vec![0; length]).unwrap();
        head.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// Has the noisy tenant send at its pace, whatever it is told, until `stop`. Counts the requests that it was to send.
fn make_noise(
    gateway: &Gateway,
    stop: &Arc<AtomicBool>,
    sent: &Arc<AtomicU64>,
) -> Vec<thread::JoinHandle<()>> {
    let pace = Duration::from_secs(1) * BATCH as u32 * NOISY_CONNECTIONS as u32 / (QUOTA * TIMES) as u32;
    let begin = |_| {
        let mut client = Client::connect(gateway, "noisy", BATCH);
        let (stop, sent) = (Arc::clone(stop), Arc::clone(sent));
        thread::spawn(move || {
            let mut next = Instant::now();
            while !stop.load(Relaxed) {
                let status = client.send();
                assert!([200, 429].contains(&status), "{status}");
                sent.fetch_add(1, Relaxed);
                next += pace;
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        })
    };
    (0..NOISY_CONNECTIONS).map(begin).collect()
}

/// The quiet tenant's p99 in a slice of time, counted from when each request was to be sent.
fn p99(client: &mut Client, slice: Duration) -> f64 {
    let start = Instant::now();
    let mut took = Vec::new();
    for number in 0.. {
        let due = start + PACE * number;
        if due >= start + slice {
            break;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        assert_eq!(client.send(), 200, "the quiet tenant has no quota");
        took.push(due.elapsed().as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    took[took.len() * 99 / 100]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn yaml(tenants: &str) -> String {
    format!(
        r#"
receivers: {{json: {{listen: "127.0.0.1:{{json}}"}}}}
sinks: {{out: {{type: blackhole}}}}
dead_letters: {{path: "{{dir}}/letters"}}
admin: {{listen: "127.0.0.1:{{admin}}"}}
tenants: {tenants}
"#
    )
}

#[test]
fn a_noisy_tenant_does_not_move_the_others_p99() {
    let slice = lasting("a noisy tenant, each slice", FULL, Duration::from_secs(1));
    let most = if slice == FULL { MOST } else { MOST_IN_SHORT };
    let quota = format!("{{named: [{{name: noisy, quota: {{events_per_second: {QUOTA}, burst: 1s}}}}]}}");
    let gateway = Gateway::start(&yaml(&quota)).unwrap();
    let mut quiet = Client::connect(&gateway, "quiet", 10);
    p99(&mut quiet, slice);

    let (mut ratios, mut aparts) = (Vec::new(), Vec::new());
    let (sent, mut noisy_time) = (Arc::default(), 0.0);
    let mut before = p99(&mut quiet, slice);
    for _ in 0..THREES {
        let stop = Arc::new(AtomicBool::new(false));
        let start = Instant::now();
        let noise = make_noise(&gateway, &stop, &sent);
        let under_noise = p99(&mut quiet, slice);
        stop.store(true, Relaxed);
        noise.into_iter().for_each(|client| client.join().unwrap());
        noisy_time += start.elapsed().as_secs_f64();
        let after = p99(&mut quiet, slice);
        println!("p99 in ms: {:.2}, with noise {:.2}, {:.2}", before * 1e3, under_noise * 1e3, after * 1e3);
        ratios.push(under_noise / (before * after).sqrt());
        aparts.push(before.max(after) / before.min(after));
        before = after;
    }
    let (ratio, apart) = (median(ratios), median(aparts));
    let slack = 1.0 + (apart - 1.0) / (THREES as f64).sqrt();
    let offered = sent.load(Relaxed) as f64 * BATCH as f64 / noisy_time / QUOTA as f64;
    println!(
        "ratio {ratio:.3} (median of {THREES}), quiet ones {apart:.3} apart, {offered:.0} times the quota offered"
    );

    let metrics = gateway.metrics().unwrap();
    let records =
        |tenant| metrics.sum("forebay_tenant_records_total", &[("tenant", tenant), ("outcome", "admitted")]);
    // Between the slices the quota fills again. Each connection may be let in with one request before the first of them is charged.
    let admitted =
        QUOTA as f64 * (noisy_time * 2.5 + 1.0) + (NOISY_CONNECTIONS as usize * BATCH * THREES) as f64;
    assert!((1.0..=admitted).contains(&records("noisy")), "{} of at most {admitted}", records("noisy"));
    assert!(records("quiet") > 0.0);
    let refused = metrics.sum("forebay_tenant_over_quota_requests_total", &[("tenant", "noisy")]);
    assert!(refused > 0.9 * sent.load(Relaxed) as f64, "{refused} of {sent:?} were refused");
    assert!(offered > 0.8 * TIMES as f64, "only {offered:.0} times the quota was offered");
    gateway.balanced_ledger(Duration::from_secs(30)).unwrap();
    assert!(ratio < most * slack, "the noise was heard: {ratio:.3}, of at most {most} times {slack:.3}");
}

/// On one connection that was there before.
#[test]
fn a_reload_changes_a_quota_and_keeps_what_is_owed() {
    let gateway = Gateway::start(&yaml("{quota: {events_per_second: 1, burst: 1s}}")).unwrap();
    let reload = |tenants: &str, number: f64| {
        gateway.configure(&yaml(tenants)).unwrap();
        process::signal(gateway.pid().unwrap(), "HUP").unwrap();
        wait_until("the reload", Duration::from_secs(30), || {
            let done = gateway.metrics()?.sum("forebay_config_reloads_total", &[("result", "done")]);
            Ok((done == number).then_some(()))
        })
        .unwrap();
    };
    let mut client = Client::connect(&gateway, "acme", 10_000);
    assert_eq!((client.send(), client.send()), (200, 429));
    reload("{quota: {events_per_second: 2, burst: 1s}}", 1.0);
    assert_eq!(client.send(), 429, "an hour is owed still");
    reload("{quota: {events_per_second: 1000000, burst: 1s}}", 2.0);
    wait_until("the debt to be paid", Duration::from_secs(10), || Ok((client.send() == 200).then_some(())))
        .unwrap();
    gateway.balanced_ledger(Duration::from_secs(30)).unwrap();
}
