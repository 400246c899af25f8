//! The gateway between its clients and an Elasticsearch behind the proxy, on a disk that can fail; and what happens to it.

use crate::schedule::{EVENTS, Event};
use crate::settings::{Acknowledge, Settings};
use anyhow::{Context, Result, ensure};
use forebay_tests::disk_faults::{Disk, DiskFault, Shim};
use forebay_tests::elasticsearch::Options;
use forebay_tests::fault_proxy::{Fault, FaultProxy, Mix};
use forebay_tests::seeded::Random;
use forebay_tests::{Elasticsearch, Gateway, wait_until};
use serde_json::json;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Until a gateway whose clients wait is empty.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// How long a disk fails, in milliseconds.
const DISK_FAILS_MS: std::ops::Range<u64> = 1_500..3_500;

/// How long nothing is delivered before some of the kills, in milliseconds.
const STALLED_MS: std::ops::Range<u64> = 700..2_000;

/// Index names begin so, followed by the lane.
pub const INDEX: &str = "project-ai-torture-";

#[derive(Debug)]
pub struct World {
    pub node: Elasticsearch,
    pub proxy: FaultProxy,
    pub gateway: Gateway,
    pub disk: Box<dyn Disk>,
    settings: Settings,
    /// How often each event happened, in the order of [`Event::ALL`].
    pub happened: [u64; EVENTS],
    reloads: u64,
    /// The proxy's faults of this round.
    phase: (u64, Mix),
    /// Bytes that power cuts have taken.
    pub cut: u64,
    /// Most panics that one process had survived at a quiet point.
    pub panics: u64,
}

impl World {
    pub fn start(settings: &Settings) -> Result<Self> {
        let node = Elasticsearch::start(Options { heap_mib: 1_024, ..Options::default() })?;
        for lane in ["a", "b", "c"] {
            let index = json!({
                "settings": {"number_of_replicas": 0, "refresh_interval": "-1"},
                "mappings": {"dynamic": false, "properties": {"status": {"type": "integer"}}},
            });
            node.put(&format!("/{INDEX}{lane}"), &index)?;
        }
        let proxy = FaultProxy::start(&node.url())?;
        let disk = Box::new(Shim::build()?);
        let mut gateway = Gateway::prepare()?;
        let mut environment = disk.environment(&folders(&gateway));
        environment.extend(settings.environment.iter().cloned());
        gateway.set_environment(environment);
        gateway.configure(&configuration(settings, &proxy.url(), 0))?;
        gateway.start_again()?;
        let settings = settings.clone();
        let phase = (0, Mix::default());
        Ok(Self {
            node,
            proxy,
            gateway,
            disk,
            settings,
            happened: [0; EVENTS],
            reloads: 0,
            phase,
            cut: 0,
            panics: 0,
        })
    }

    /// Begins a round's faults.
    pub fn begin(&mut self, seed: u64, mix: Mix) {
        self.phase = (seed, mix);
        self.proxy.begin(seed, mix);
    }

    /// Makes it happen, and waits until the gateway is ready again.
    pub fn happen(&mut self, event: Event, random: &mut Random) -> Result<()> {
        match event {
            Event::Kill | Event::TornTail => {
                let is_stalled = event == Event::TornTail || random.one_in(2);
                if is_stalled {
                    self.stall(random);
                }
                self.gateway.kill9()?;
                self.proxy.begin(self.phase.0 ^ random.next(), self.phase.1);
                if event == Event::TornTail {
                    self.tear(random)?;
                }
                thread::sleep(Duration::from_millis(random.below(500)));
                self.gateway.start_again()?;
            }
            Event::Terminate => {
                self.terminate()?;
                self.gateway.start_again()?;
            }
            Event::DiskFull => self.fail_disk(DiskFault::Full, random)?,
            Event::DiskBroken => self.fail_disk(DiskFault::Broken, random)?,
            Event::Reload => {
                self.reloads += 1;
                let configuration = configuration(&self.settings, &self.proxy.url(), self.reloads);
                self.gateway.configure(&configuration)?;
                self.gateway.sighup()?;
            }
        }
        self.happened[event as usize] += 1;
        Ok(())
    }

    /// Ends the gateway in order: its exit code must be 0, and its last line a ledger that balances.
    pub fn terminate(&mut self) -> Result<()> {
        self.gateway.sigterm()?;
        self.gateway.wait_for_good_end().map(drop)
    }

    /// At a quiet point: it is alive, nothing is owed or held, both equations hold, nothing has panicked that was not to.
    pub fn check_books(&mut self) -> Result<()> {
        self.gateway.balanced_ledger(SETTLED_WITHIN)?;
        wait_until("the budget to be given back", SETTLED_WITHIN, || {
            Ok((self.gateway.metrics()?.sum("forebay_memory_budget_used_bytes", &[]) == 0.0).then_some(()))
        })?;
        let metrics = self.gateway.metrics()?;
        let panics = metrics.sum("forebay_task_panics_total", &[]);
        ensure!(panics == 0.0 || self.settings.panics(), "{panics} panics");
        self.panics = self.panics.max(panics as u64);
        // There with a journal only.
        let lost = metrics.sum("forebay_journal_lost_requests_total", &[]);
        ensure!(lost == 0.0, "{lost} requests are lost");
        let alive = ureq::get(self.gateway.admin_url("/livez")).call().context("/livez")?;
        ensure!(alive.status() == 200, "/livez says {}", alive.status());
        Ok(())
    }

    /// Every line of the dead letters. What a start found torn lies beside them, and is none.
    pub fn letters(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let files = files(&self.gateway.folder().join("letters"))?;
        for file in files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "jsonl")) {
            lines.extend(fs::read_to_string(file)?.lines().map(str::to_owned));
        }
        Ok(lines)
    }

    /// What was delivered cannot be lost any more: for a while nothing is, so that the gateway holds what it acknowledged.
    fn stall(&self, random: &mut Random) {
        self.proxy.begin(random.next(), Mix::always(Fault::RequestUnavailable));
        thread::sleep(Duration::from_millis(random.within(STALLED_MS)));
    }

    /// Every third time the gateway does not live to see the disk mended.
    fn fail_disk(&mut self, fault: DiskFault, random: &mut Random) -> Result<()> {
        self.disk.fail(fault)?;
        thread::sleep(Duration::from_millis(random.within(DISK_FAILS_MS)));
        if random.one_in(3) {
            self.gateway.kill9()?;
            self.happened[Event::Kill as usize] += 1;
            self.disk.mend()?;
            return self.gateway.start_again();
        }
        self.disk.mend()
    }

    /// What a power cut leaves of the newest file of letters and of the journal: all that was synced, perhaps some of the
    /// rest, and perhaps what was never written.
    fn tear(&mut self, random: &mut Random) -> Result<()> {
        let synced = self.disk.synced()?;
        for (folder, suffix) in [("letters", ".jsonl"), ("journal", ".segment")] {
            let mut all = files(&self.gateway.folder().join(folder))?;
            all.retain(|file| file.to_string_lossy().ends_with(suffix));
            let Some(newest) = all.last() else { continue };
            let mut file = File::options().append(true).open(newest)?;
            let length = file.metadata()?.len();
            let safe = synced.get(newest).copied().unwrap_or(0);
            if safe < length {
                let left = if random.one_in(2) { safe } else { random.within(safe..length + 1) };
                file.set_len(left)?;
                self.cut += length - left;
            }
            if random.one_in(2) {
                let size = random.within(1..5_000) as usize;
                let torn: Vec<u8> = match folder {
                    "letters" => br#"{"buried_at":"2026-01-01T00:00:00Z","reason":"to"#.to_vec(),
                    _ => (0..size).map(|_| random.next() as u8).collect(),
                };
                file.write_all(&torn)?;
            }
        }
        Ok(())
    }
}

/// The folders whose files fail with the disk.
fn folders(gateway: &Gateway) -> Vec<PathBuf> {
    ["letters", "journal"].map(|name| gateway.folder().join(name)).to_vec()
}

/// A folder's files by name, which is their age too; none if it is not there.
fn files(folder: &std::path::Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if folder.exists() {
        for entry in fs::read_dir(folder)? {
            files.push(entry?.path());
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The configuration after so many reloads. Whatever changes, a record's index stays: its id tells a copy only there.
fn configuration(settings: &Settings, endpoint: &str, reloads: u64) -> String {
    let is_durable = settings.acknowledge == Acknowledge::Durable;
    let acknowledge = if is_durable { journal(settings) } else { String::new() };
    let is_changed = !reloads.is_multiple_of(2);
    // A journal may owe the sink something after it has lost its route; removing it then is rightly refused.
    let has_sink = is_changed || is_durable && reloads > 0;
    let sink = if has_sink { "  extra: {type: file, path: \"{dir}/extra\"}\n" } else { "" };
    let (route, more) = if is_changed {
        let when = "{field: lane, equals: c}";
        ("renamed", format!("- {{name: added, when: {when}, to: [es, extra], index: {INDEX}c}}\n"))
    } else {
        ("lane-a", String::new())
    };
    // So that a reload replaces the sink itself, too.
    let timeout = if is_changed { "2500ms" } else { "2s" };
    format!(
        r#"{acknowledge}
receivers:
  otlp:
    grpc: {{listen: "127.0.0.1:{{otlp_grpc}}"}}
    http: {{listen: "127.0.0.1:{{otlp_http}}"}}
    ack_timeout: 2s
  json: {{listen: "127.0.0.1:{{json}}", ack_timeout: 3s, id_field: key}}
  beats: {{listen: "127.0.0.1:{{beats}}", hold_max: 3s}}
  elasticsearch: {{listen: "127.0.0.1:{{elasticsearch}}", ack_timeout: 3s}}
  forward: {{listen: "127.0.0.1:{{forward}}", hold_max: 3s}}
sinks:
  es:
    type: elasticsearch
    endpoints: ["{endpoint}"]
    timeout: {timeout}
    delivery: {{batch: {{max_records: 2000}}, concurrency: {{min: 4}}, retry: {{initial: 50ms, max: 1s}}}}
{sink}routes:
- {{name: {route}, when: {{field: lane, equals: a}}, to: [es], index: {INDEX}a}}
- {{name: lane-b, when: {{field: lane, equals: b}}, to: [es], index: {INDEX}b}}
{more}- {{name: rest, to: [es], index: {INDEX}c}}
dead_letters: {{path: "{{dir}}/letters", max_file_bytes: 1MiB}}
admin: {{listen: "127.0.0.1:{{admin}}"}}
drain: {{door_open: 500ms, deadline: 30s}}
"#
    )
}

/// Small enough to be full now and then.
fn journal(settings: &Settings) -> String {
    let compression = if settings.seed.is_multiple_of(2) { "none" } else { "zstd" };
    format!(
        "acknowledge: durable\n\
         journal: {{path: \"{{dir}}/journal\", max_bytes: 64MiB, segment_bytes: 4MiB, compression: {compression}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_tests::{gateway, process};
    use std::process::Command;

    #[test]
    fn the_gateway_takes_the_configuration_before_and_after_a_reload() {
        for acknowledge in [Acknowledge::Delivered, Acknowledge::Durable] {
            let settings = Settings::from_environment(acknowledge);
            for reloads in 0..3 {
                let gateway = Gateway::prepare().unwrap();
                gateway.configure(&configuration(&settings, "http://127.0.0.1:9", reloads)).unwrap();
                let mut check = Command::new(gateway::binary().unwrap());
                check.arg("check").arg(gateway.folder().join("forebay.yaml"));
                process::run(&mut check).unwrap();
            }
        }
    }
}
