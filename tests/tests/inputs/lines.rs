//! Clients that are never answered: JSON lines over TCP, and syslog from Python and from rsyslog.

use crate::expected::OnTheWire;
use crate::scenario::{EVENTS, SETTLED_WITHIN, assert_documents, assert_searches, events};
use forebay_tests::elasticsearch::Options;
use forebay_tests::process::{self, find_program, wait_until};
use forebay_tests::python::{self, Python};
use forebay_tests::{Elasticsearch, Gateway, config, ports};
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long what was sent may take to arrive: nobody says that it has.
const ARRIVED_WITHIN: Duration = Duration::from_secs(60);

struct House {
    node: Elasticsearch,
    gateway: Gateway,
    python: Python,
    port: u16,
}

impl House {
    /// A gateway with one more receiver: `tcp` or `syslog`, with these settings beside its address.
    fn start(receiver: &str, settings: &str) -> Self {
        let node = Elasticsearch::start(Options::default()).unwrap();
        let [port] = ports::free().unwrap();
        let more = format!("receivers:\n  {receiver}: {{listen: \"127.0.0.1:{port}\"{settings}}}\n");
        let config = config::into_elasticsearch(&node, "").replacen("receivers:\n", &more, 1);
        let gateway = Gateway::start(&config).unwrap();
        Self { node, gateway, python: Python::install().unwrap(), port }
    }

    /// Runs the client over `lines`.
    fn send(&self, args: &[&str], lines: &str) {
        let all = [args, &["--events", "-"]].concat();
        let sent = self.python.run_with_input("tcp_logs.py", &all, lines).unwrap();
        assert_eq!(sent.stderr, b"", "{}", String::from_utf8_lossy(&sent.stderr));
        assert!(python::summary(&sent).unwrap()["sent"].as_u64() > Some(0));
    }

    /// Waits until so many records are stored, and nothing was refused.
    fn arrived(&self, records: usize) {
        wait_until("all records", ARRIVED_WITHIN, || {
            Ok((self.gateway.ledger()?.delivered >= records as f64).then_some(()))
        })
        .unwrap();
        let ledger = self.gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
        let all = records as f64;
        assert_eq!((ledger.received, ledger.delivered, ledger.dead_lettered), (all, all, 0.0), "{ledger:?}");
        self.node.refresh().unwrap();
    }

    fn documents(&self, query: &str, most: usize) -> Vec<Value> {
        let found = self.node.documents("project-ai-*", query, most).unwrap();
        found.into_iter().map(|document| document.source).collect()
    }
}

#[test]
fn python_logging_as_json_lines() {
    let house = House::start("tcp", "");
    let (lines, events) = events(&house.python, 21);
    house.send(&["--port", &house.port.to_string()], &lines);
    house.arrived(EVENTS);
    assert_documents(&house.node, &events, OnTheWire::EVERYTHING);
    assert_searches(&house.node, &events, OnTheWire::EVERYTHING);
}

/// Three messages; the second has two lines.
const MESSAGES: &str = concat!(
    r#"{"id": "one", "logger": "x", "level": "INFO", "message": "number 1", "hits": []}"#,
    "\n",
    r#"{"id": "two", "logger": "x", "level": "CRITICAL", "message": "Traceback:\n  File \"x\"", "hits": []}"#,
    "\n",
    r#"{"id": "three", "logger": "x", "level": "WARNING", "message": "ünï [x]", "hits": []}"#,
    "\n",
);

#[test]
fn pythons_syslog_handler() {
    let house = House::start("syslog", ", trailer: nul");
    house.send(&["--syslog", "--port", &house.port.to_string()], MESSAGES);
    house.arrived(3);
    for (text, level) in
        [("number 1", "INFO"), ("Traceback:\n  File \"x\"", "CRITICAL"), ("ünï [x]", "WARNING")]
    {
        let found = house.documents(&format!("level:{level}"), 2);
        assert_eq!(found.len(), 1, "{level}");
        // No time and no host: the handler writes neither, so all of it is the text.
        let message = found[0]["message"].as_str().unwrap();
        assert!(message.starts_with("app[42]: ") && message.ends_with(text), "{message}");
        assert_eq!(found[0]["syslog.facility"], "user");
    }
}

/// A daemon that ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// rsyslog forwards what a program logs, in its default format behind line feeds and in that of RFC 5424 behind counts. Forebay is
/// restarted meanwhile, and rsyslog goes on.
#[test]
#[allow(clippy::print_stdout)] // A test that cannot run says so.
fn rsyslog_forwards_in_both_formats() {
    let Some(rsyslogd) = find_program("rsyslogd").or_else(|| find_program("/usr/sbin/rsyslogd")) else {
        println!("SKIPPED: rsyslogd is missing: apt-get install rsyslog");
        return;
    };
    let mut house = House::start("syslog", "");
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display();
    let forward = format!(
        "action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{}\" protocol=\"tcp\" action.resumeRetryCount=\"-1\" \
                           action.resumeInterval=\"1\" queue.type=\"LinkedList\"",
        house.port
    );
    let config = format!(
        "global(workDirectory=\"{place}\" net.enableDNS=\"off\")\n\
         module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
         input(type=\"imuxsock\" Socket=\"{place}/log\" RateLimit.Interval=\"0\")\n\
         {forward})\n\
         {forward} TCP_Framing=\"octet-counted\" template=\"RSYSLOG_SyslogProtocol23Format\")\n"
    );
    let (file, socket) = (folder.path().join("rsyslog.conf"), folder.path().join("log"));
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(rsyslogd);
    command.arg("-n").arg("-f").arg(&file).arg("-i").arg(folder.path().join("pid"));
    let daemon = Daemon(command.env("TZ", "UTC").stdout(Stdio::null()).spawn().unwrap());
    wait_until("rsyslog's socket", ARRIVED_WITHIN, || Ok(socket.exists().then_some(()))).unwrap();

    let socket = socket.to_string_lossy();
    house.send(&["--syslog", "--socket", &socket], MESSAGES);
    house.arrived(6);
    for level in ["INFO", "CRITICAL", "WARNING"] {
        let found =
            house.documents(&format!("level:{level} AND hostname:* AND app_name:app AND proc_id:42"), 3);
        let versions: Vec<&Value> = found.iter().map(|document| &document["syslog.version"]).collect();
        assert!(
            found.len() == 2 && versions.contains(&&Value::from(1)) && versions.contains(&&Value::Null),
            "{found:?}"
        );
    }
    house.gateway.sigterm_and_wait().unwrap();
    house.gateway.start_again().unwrap();
    house.send(&["--syslog", "--socket", &socket], MESSAGES);
    house.arrived(6);
    assert_eq!(house.documents("*", 20).len(), 12);
    process::signal(daemon.0.id(), "TERM").unwrap();
}
