//! A log that cannot be written, or that nobody reads: lines are lost and counted, and nothing else is.

use crate::client::client;
use crate::event::Event;
use forebay_tests::{Gateway, wait_until};
use serde_json::Value;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const CONFIG: &str = r#"
receivers:
  json: {listen: "127.0.0.1:{json}"}
sinks:
  b: {type: blackhole}
routes:
- {name: all, to: [b], index: all}
dead_letters: {path: "{dir}/letters"}
admin: {listen: "127.0.0.1:{admin}"}
drain: {door_open: 0s, deadline: 3s}
"#;
/// Each of them makes a line of the log when it is read: together more than a pipe holds.
const FAULTS: usize = 400;
const SOON: Duration = Duration::from_secs(10);

/// A gateway whose standard error is `log`.
fn logging_to(log: &Path) -> Gateway {
    let mut gateway = Gateway::prepare().unwrap();
    gateway.configure(CONFIG).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" run --config forebay.yaml 2>"$1""#]);
    command.arg(forebay_tests::gateway::binary().unwrap()).arg(log);
    gateway.launch(command).unwrap();
    gateway
}

/// Makes it log until lines are lost.
fn lose_lines(gateway: &Gateway) {
    let faults: String = (0..FAULTS).map(|number| format!("unknown_setting_{number}: 1\n")).collect();
    gateway.configure(&format!("{CONFIG}{faults}")).unwrap();
    let has_lost = || {
        gateway.sighup()?;
        Ok((gateway.metrics()?.sum("forebay_log_lost_lines_total", &[]) > 0.0).then_some(()))
    };
    wait_until("lost lines", 3 * SOON, has_lost).unwrap();
}

fn serves(gateway: &Gateway) {
    client("json", gateway.ports).send(&Event::batch("json", 10));
    assert!(gateway.balanced_ledger(SOON).unwrap().received >= 10.0);
}

fn ends_at_once(gateway: &mut Gateway) {
    let began = Instant::now();
    gateway.sigterm().unwrap();
    let (status, _) = gateway.wait_for_end().unwrap();
    assert!(status.success(), "{status}");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn a_full_disk_under_the_log_costs_lines_and_nothing_else() {
    let mut gateway = logging_to(Path::new("/dev/full"));
    lose_lines(&gateway);
    serves(&gateway);
    ends_at_once(&mut gateway);
}

#[test]
fn a_log_that_nobody_reads_costs_lines_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("log");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Both ends, so that neither waits for the other.
    let open = || File::options().read(true).write(true).open(&pipe).unwrap();

    let unread = open();
    let mut gateway = logging_to(&pipe);
    lose_lines(&gateway);
    serves(&gateway);
    ends_at_once(&mut gateway);
    drop(unread);

    let gone = open();
    let mut gateway = logging_to(&pipe);
    drop(gone);
    lose_lines(&gateway);
    serves(&gateway);
    ends_at_once(&mut gateway);
}

#[test]
fn the_ledger_is_the_last_line_of_a_log_that_is_read_late() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("log");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let unread = File::options().read(true).write(true).open(&pipe).unwrap();
    let mut gateway = logging_to(&pipe);
    lose_lines(&gateway);
    let mut reader = File::open(&pipe).unwrap();
    drop(unread);
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    ends_at_once(&mut gateway);
    let text = reading.join().unwrap().unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.last().unwrap()["message"], "ledger");
    assert!(
        lines.iter().any(|line| line["lost"].as_u64().is_some_and(|lost| lost > 0)),
        "it tells what is lost"
    );
}
