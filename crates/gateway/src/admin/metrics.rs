//! The ledger and the state of delivery as Prometheus metrics. Counters are kept where they are counted; they are copied at each
//! scrape, so that a record costs no label look-up.

use super::help;
use super::process::{self, Process};
use crate::graph::{Graph, Live, Reloads};
use crate::receivers::{Connections, Gate, Overhead, Tenants, Tls};
use crate::version::VERSION;
use forebay_pipeline::dead_letter::DeadLetterDir;
use forebay_pipeline::deliver::{DeliveryState, RetryKind};
use forebay_pipeline::journal::Service;
use forebay_pipeline::ledger::{Ledger, Outcome, Told};
use metrics::{Label, counter, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use parking_lot::{Mutex, RwLock};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Renders `/metrics`.
pub struct Exporter {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    ledger: Arc<Ledger>,
    live: Arc<RwLock<Arc<Live>>>,
    reloads: Arc<Reloads>,
    /// The sinks of the page before, so that one that is gone does not seem to go on.
    shown: Mutex<Vec<Arc<str>>>,
    dead_letters: Arc<DeadLetterDir>,
    max_letter_bytes: u64,
    journal: Option<Arc<Service>>,
    connections: Vec<Connections>,
    overhead: Arc<Overhead>,
    tenants: Arc<Tenants>,
    looks: Process,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

impl Exporter {
    /// An exporter for the counts of `graph`.
    pub fn new(graph: &Graph) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let exporter = Self {
            recorder,
            handle,
            ledger: Arc::clone(&graph.ledger),
            live: Arc::clone(&graph.live),
            reloads: Arc::clone(&graph.reloads),
            shown: Mutex::default(),
            dead_letters: Arc::clone(&graph.dead_letters),
            max_letter_bytes: graph.settings.dead_letters.max_bytes.0,
            journal: graph.journal.clone(),
            connections: graph.started.connections().cloned().collect(),
            overhead: Arc::clone(graph.started.overhead()),
            tenants: Arc::clone(graph.started.tenants()),
            looks: Process::new(),
        };
        with_local_recorder(&exporter.recorder, || {
            help::describe();
            let start = forebay_pipeline::time::now() as f64 / 1e9;
            gauge!("forebay_process_start_time_seconds").set(start);
            gauge!("forebay_build_info", "version" => VERSION).set(1.0);
        });
        exporter
    }

    /// The page, as of now.
    pub fn render(&self) -> String {
        with_local_recorder(&self.recorder, || {
            self.doors();
            self.tenants();
            self.accounts();
            self.deliveries();
            self.journal();
            self.process();
            self.pressure();
        });
        help::with_types(self.handle.render())
    }

    fn doors(&self) {
        for door in self.ledger.doors() {
            let of = |name: &'static str| {
                vec![Label::new("receiver", Arc::clone(&door.receiver)), Label::new("outcome", name)]
            };
            counter!("forebay_receiver_records_total", of("admitted")).absolute(door.admitted());
            counter!("forebay_receiver_records_total", of("rejected")).absolute(door.rejected());
            counter!("forebay_receiver_records_total", of("refused")).absolute(door.refused());
            let receiver = || vec![Label::new("receiver", Arc::clone(&door.receiver))];
            counter!("forebay_receiver_received_records_total", receiver()).absolute(door.received());
            counter!("forebay_receiver_unread_requests_total", receiver()).absolute(door.unread());
            counter!("forebay_receiver_bytes_total", receiver()).absolute(door.bytes());
            for told in Told::ALL {
                let mut labels = receiver();
                labels.push(Label::new("answer", told.name()));
                counter!("forebay_receiver_answers_total", labels).absolute(door.told(told));
            }
        }
    }

    fn tenants(&self) {
        for tenant in self.tenants.all() {
            let counts = tenant.counts();
            let label = || Label::new("tenant", Arc::clone(&tenant.name));
            let of = |outcome: &'static str| vec![label(), Label::new("outcome", outcome)];
            counter!("forebay_tenant_records_total", of("admitted")).absolute(counts.admitted);
            counter!("forebay_tenant_records_total", of("rejected")).absolute(counts.rejected);
            counter!("forebay_tenant_records_total", of("refused")).absolute(counts.refused);
            counter!("forebay_tenant_bytes_total", vec![label()]).absolute(counts.bytes);
            counter!("forebay_tenant_over_quota_requests_total", vec![label()]).absolute(counts.over_quota);
        }
    }

    fn accounts(&self) {
        for account in self.ledger.accounts() {
            let labels = || {
                vec![
                    Label::new("sink", Arc::clone(&account.sink)),
                    Label::new("route", Arc::clone(&account.route)),
                ]
            };
            for outcome in Outcome::ALL {
                let mut labels = labels();
                labels.push(Label::new("outcome", outcome.name()));
                counter!("forebay_sink_records_total", labels).absolute(account.settled(outcome));
            }
            gauge!("forebay_sink_in_flight_records", labels()).set(account.in_flight() as f64);
            counter!("forebay_sink_owed_records_total", labels()).absolute(account.owed());
            counter!("forebay_sink_recovered_records_total", labels()).absolute(account.recovered());
        }
    }

    fn deliveries(&self) {
        let now = forebay_pipeline::time::now();
        let live = Arc::clone(&self.live.read());
        self.forget_the_gone(&live);
        for (name, handle) in &live.handles {
            let stats = handle.stats();
            let sink = || vec![Label::new("sink", Arc::clone(name))];
            gauge!("forebay_delivery_in_flight_payloads", sink()).set(stats.in_flight.load(Relaxed) as f64);
            gauge!("forebay_delivery_concurrency_limit", sink()).set(stats.limit.load(Relaxed) as f64);
            gauge!("forebay_delivery_queued_shares", sink()).set(stats.queued_shares.load(Relaxed) as f64);
            gauge!("forebay_delivery_queued_bytes", sink()).set(stats.queued_bytes.load(Relaxed) as f64);
            let oldest = match stats.oldest.load(Relaxed) {
                0 => 0.0,
                arrived => (now - arrived) as f64 / 1e9,
            };
            gauge!("forebay_delivery_oldest_seconds", sink()).set(oldest);
            let last = stats.last_success.load(Relaxed) as f64 / 1e9;
            gauge!("forebay_delivery_last_success_timestamp_seconds", sink()).set(last);
            gauge!("forebay_sink_prepared", sink()).set(f64::from(u8::from(stats.prepared.load(Relaxed))));
            let state = stats.state();
            for name in STATES {
                let mut labels = sink();
                labels.push(Label::new("state", name));
                gauge!("forebay_sink_state", labels).set(f64::from(u8::from(state.name() == name)));
            }
            counter!("forebay_delivery_payloads_total", sink()).absolute(stats.attempts.load(Relaxed));
            counter!("forebay_delivery_sent_bytes_total", sink()).absolute(stats.sent_bytes.load(Relaxed));
            counter!("forebay_delivery_splits_total", sink()).absolute(stats.splits.load(Relaxed));
            counter!("forebay_delivery_given_up_records_total", sink())
                .absolute(stats.given_up_records.load(Relaxed));
            counter!("forebay_delivery_expired_records_total", sink())
                .absolute(stats.expired_records.load(Relaxed));
            counter!("forebay_delivery_burial_failures_total", sink())
                .absolute(stats.burial_failures.load(Relaxed));
            for kind in RetryKind::ALL {
                let mut labels = sink();
                labels.push(Label::new("kind", kind.name()));
                counter!("forebay_delivery_retries_total", labels).absolute(stats.retries(kind));
            }
        }
    }

    /// Sets the gauges of sinks to zero that a reload has taken away: a page cannot take a line back.
    fn forget_the_gone(&self, live: &Live) {
        let now: Vec<Arc<str>> = live.handles.iter().map(|(name, _)| Arc::clone(name)).collect();
        let before = std::mem::replace(&mut *self.shown.lock(), now.clone());
        for name in before.into_iter().filter(|name| !now.contains(name)) {
            let sink = || vec![Label::new("sink", Arc::clone(&name))];
            for gauge in SINK_GAUGES {
                gauge!(gauge, sink()).set(0.0);
            }
            for state in STATES {
                let mut labels = sink();
                labels.push(Label::new("state", state));
                gauge!("forebay_sink_state", labels).set(0.0);
            }
        }
    }

    fn journal(&self) {
        let Some(journal) = &self.journal else { return };
        let stats = journal.stats();
        gauge!("forebay_journal_bytes").set(stats.bytes.load(Relaxed) as f64);
        gauge!("forebay_journal_max_bytes").set(journal.max_bytes() as f64);
        counter!("forebay_journal_requests_total").absolute(stats.frames.load(Relaxed));
        counter!("forebay_journal_written_bytes_total").absolute(stats.written_bytes.load(Relaxed));
        counter!("forebay_journal_syncs_total").absolute(stats.syncs.load(Relaxed));
        gauge!("forebay_journal_sync_seconds_total").set(stats.sync_nanos.load(Relaxed) as f64 / 1e9);
        counter!("forebay_journal_checkpoints_total").absolute(stats.checkpoints.load(Relaxed));
        counter!("forebay_journal_refused_requests_total").absolute(stats.refused_full.load(Relaxed));
        let failures = stats.failures.load(Relaxed) + stats.checkpoint_failures.load(Relaxed);
        counter!("forebay_journal_failures_total").absolute(failures);
        for progress in journal.progress() {
            let sink = || vec![Label::new("sink", Arc::clone(&progress.sink))];
            gauge!("forebay_journal_behind_requests", sink()).set(progress.behind as f64);
            gauge!("forebay_journal_returned_requests", sink()).set(progress.returned as f64);
            gauge!("forebay_journal_window_used_bytes", sink()).set(progress.on_its_way as f64);
            counter!("forebay_journal_lost_requests_total", sink()).absolute(progress.lost);
            counter!("forebay_journal_dropped_requests_total", sink()).absolute(progress.lagged);
            counter!("forebay_journal_dropped_records_total", sink()).absolute(progress.lagged_records);
        }
    }

    fn process(&self) {
        let letters = self.dead_letters.stats();
        counter!("forebay_dead_letters_total").absolute(letters.letters.load(Relaxed));
        gauge!("forebay_dead_letters_bytes").set(letters.bytes.load(Relaxed) as f64);
        gauge!("forebay_dead_letters_max_bytes").set(self.max_letter_bytes as f64);
        for connections in &self.connections {
            gauge!("forebay_receiver_connections", "receiver" => connections.receiver)
                .set(connections.open().saturating_sub(1) as f64);
            if let Some(tls) = &connections.tls {
                handshakes(connections.receiver, tls);
            }
            if let Some(gate) = &connections.gate {
                turned_away(connections.receiver, gate);
            }
        }
        gauge!("forebay_process_cpu_seconds_total").set(process::cpu_time().as_secs_f64());
        gauge!("forebay_process_resident_memory_bytes").set(process::resident_bytes() as f64);
        let intake = Arc::clone(&self.live.read().intake);
        let budget = intake.budget();
        gauge!("forebay_memory_budget_bytes").set(budget.limit() as f64);
        gauge!("forebay_memory_budget_used_bytes").set(budget.used() as f64);
        let (used, limit) = self.overhead.used_and_limit();
        gauge!("forebay_connection_memory_bytes").set(limit as f64);
        gauge!("forebay_connection_memory_used_bytes").set(used as f64);
        counter!("forebay_unanswered_connections_total").absolute(self.overhead.unanswered());
        counter!("forebay_events_outside_window_total").absolute(self.ledger.outside_window().load(Relaxed));
        counter!("forebay_syslog_unparsed_messages_total").absolute(self.ledger.unparsed().load(Relaxed));
        let reloads = &self.reloads;
        counter!("forebay_config_reloads_total", "result" => "done").absolute(reloads.done.load(Relaxed));
        counter!("forebay_config_reloads_total", "result" => "refused")
            .absolute(reloads.refused.load(Relaxed));
        let last = reloads.last.load(Relaxed) as f64 / 1e9;
        gauge!("forebay_config_last_reload_timestamp_seconds").set(last);
        counter!("forebay_log_lost_lines_total").absolute(crate::logging::lost_lines());
        counter!("forebay_task_panics_total").absolute(forebay_pipeline::task::panics());
        counter!("forebay_task_restarts_total").absolute(forebay_pipeline::task::restarts());
    }

    /// How near this process is to what it can do itself. Memory counts only while every sink is well and keeps up: what a slow sink
    /// leaves in memory is not made less by another process.
    fn pressure(&self) {
        let live = Arc::clone(&self.live.read());
        let is_held_up = live
            .handles
            .iter()
            .any(|(_, handle)| handle.stats().state() != DeliveryState::Ok || handle.wait() > HELD_UP_AFTER);
        let budget = live.intake.budget();
        let memory = if is_held_up { 0.0 } else { budget.used() as f64 / budget.limit() as f64 };
        gauge!("forebay_pressure").set(self.looks.busy().max(memory).min(1.0));
    }
}

fn handshakes(receiver: &'static str, tls: &Tls) {
    counter!("forebay_receiver_tls_handshakes_total", "receiver" => receiver).absolute(tls.done());
    for (reason, count) in tls.failures() {
        counter!("forebay_receiver_tls_handshake_failures_total", "receiver" => receiver, "reason" => reason)
            .absolute(count);
    }
    gauge!("forebay_receiver_tls_certificate_expiry_timestamp_seconds", "receiver" => receiver)
        .set(tls.not_after() as f64);
    replaced(receiver, "tls", tls.changes.counts());
}

fn turned_away(receiver: &'static str, gate: &Gate) {
    for (reason, count) in gate.refused() {
        counter!("forebay_receiver_unauthenticated_requests_total", "receiver" => receiver, "reason" => reason)
            .absolute(count);
    }
    replaced(receiver, "auth", gate.changes.counts());
}

/// Files that were replaced under the running process, of this setting.
fn replaced(receiver: &'static str, setting: &'static str, (done, refused): (u64, u64)) {
    for (result, count) in [("done", done), ("refused", refused)] {
        let labels = ["receiver", "setting", "result"].into_iter().zip([receiver, setting, result]);
        let labels: Vec<Label> = labels.map(|(name, value)| Label::new(name, value)).collect();
        counter!("forebay_receiver_file_reloads_total", labels).absolute(count);
    }
}

/// A sink that newcomers would have to wait for longer than this is what holds things up.
const HELD_UP_AFTER: Duration = Duration::from_millis(100);

/// The values of the `state` label.
const STATES: [&str; 3] = ["ok", "retrying", "blocked"];

/// Gauges that have a sink and nothing else for a label.
const SINK_GAUGES: [&str; 10] = [
    "forebay_delivery_in_flight_payloads",
    "forebay_delivery_concurrency_limit",
    "forebay_delivery_queued_shares",
    "forebay_delivery_queued_bytes",
    "forebay_delivery_oldest_seconds",
    "forebay_delivery_last_success_timestamp_seconds",
    "forebay_sink_prepared",
    "forebay_journal_behind_requests",
    "forebay_journal_returned_requests",
    "forebay_journal_window_used_bytes",
];
