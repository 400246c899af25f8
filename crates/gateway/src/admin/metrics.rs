//! The ledger and the state of delivery as Prometheus metrics. Counters are kept where they are counted; they are copied at each
//! scrape, so that a record costs no label look-up.

use crate::graph::Graph;
use forebay_pipeline::admit::Intake;
use forebay_pipeline::dead_letter::DeadLetterDir;
use forebay_pipeline::deliver::{Handle, RetryKind};
use forebay_pipeline::journal::Service;
use forebay_pipeline::ledger::{Ledger, Outcome, Told};
use metrics::{Label, counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Renders `/metrics`.
pub struct Exporter {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    ledger: Arc<Ledger>,
    intake: Arc<Intake>,
    deliveries: Vec<(Arc<str>, Handle)>,
    dead_letters: Arc<DeadLetterDir>,
    journal: Option<Arc<Service>>,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("deliveries", &self.deliveries.len()).finish_non_exhaustive()
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
            intake: Arc::clone(&graph.intake),
            deliveries: graph.handles.clone(),
            dead_letters: Arc::clone(&graph.dead_letters),
            journal: graph.journal.clone(),
        };
        with_local_recorder(&exporter.recorder, || {
            describe();
            let start = forebay_pipeline::time::now() as f64 / 1e9;
            gauge!("forebay_process_start_time_seconds").set(start);
            gauge!("forebay_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        });
        exporter
    }

    /// The page, as of now.
    pub fn render(&self) -> String {
        with_local_recorder(&self.recorder, || {
            self.doors();
            self.accounts();
            self.deliveries();
            self.journal();
            self.process();
        });
        self.handle.render()
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
        for (name, handle) in &self.deliveries {
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
            for name in ["ok", "retrying", "blocked"] {
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
        }
    }

    fn process(&self) {
        let letters = self.dead_letters.stats();
        counter!("forebay_dead_letters_total").absolute(letters.letters.load(Relaxed));
        gauge!("forebay_dead_letters_bytes").set(letters.bytes.load(Relaxed) as f64);
        let budget = self.intake.budget();
        gauge!("forebay_memory_budget_bytes").set(budget.limit() as f64);
        gauge!("forebay_memory_budget_used_bytes").set(budget.used() as f64);
        counter!("forebay_events_outside_window_total").absolute(self.intake.rules().window().outside());
        counter!("forebay_task_panics_total").absolute(forebay_pipeline::task::panics());
    }
}

/// Help texts, in the order of the page.
fn describe() {
    let counters = [
        (
            "forebay_receiver_received_records_total",
            "Records read from clients: admitted + rejected + refused.",
        ),
        ("forebay_receiver_records_total", "Records by what became of them at the door."),
        ("forebay_receiver_unread_requests_total", "Requests turned away before their records were counted."),
        ("forebay_receiver_bytes_total", "Bytes of request bodies as they came."),
        ("forebay_receiver_answers_total", "Requests by what their client was told."),
        (
            "forebay_sink_owed_records_total",
            "Records that sinks took on: with those recovered, the sum of all outcomes and those in flight.",
        ),
        (
            "forebay_sink_recovered_records_total",
            "Records that sinks took on again from the journal: after a restart, or because they had come back.",
        ),
        ("forebay_sink_records_total", "Records by how the debt for them was settled."),
        ("forebay_delivery_payloads_total", "Payloads sent."),
        ("forebay_delivery_sent_bytes_total", "Bytes of payloads as sent."),
        ("forebay_delivery_splits_total", "Payloads cut in half because the sink found them too large."),
        ("forebay_delivery_retries_total", "Payloads that came back to be sent again, whole or in part."),
        (
            "forebay_delivery_given_up_records_total",
            "Records dropped unsent because their client had gone or was told to retry.",
        ),
        ("forebay_delivery_expired_records_total", "Records that failed for longer than retry.max_age."),
        ("forebay_delivery_burial_failures_total", "Attempts to keep dead letters that failed."),
        ("forebay_dead_letters_total", "Records kept in the dead letters."),
        (
            "forebay_events_outside_window_total",
            "Events whose time was too far off to choose their destination.",
        ),
        ("forebay_task_panics_total", "Tasks that panicked."),
        ("forebay_journal_requests_total", "Requests written to the journal."),
        ("forebay_journal_written_bytes_total", "Bytes of these requests as written."),
        ("forebay_journal_syncs_total", "Groups of requests made durable."),
        ("forebay_journal_checkpoints_total", "Times that the cursors were made durable, or had not moved."),
        ("forebay_journal_refused_requests_total", "Requests turned away because the journal was full."),
        ("forebay_journal_failures_total", "Writes and syncs of the journal that failed."),
        ("forebay_journal_lost_requests_total", "Requests found damaged when a sink was to have them."),
    ];
    for (name, help) in counters {
        describe_counter!(name, help);
    }
    let gauges = [
        ("forebay_sink_in_flight_records", "Records still owed."),
        ("forebay_sink_state", "1 for the state that the sink is in: ok, retrying or blocked."),
        ("forebay_sink_prepared", "1 when the sink has what it needs before the first send."),
        ("forebay_delivery_in_flight_payloads", "Payloads being encoded, sent or buried."),
        ("forebay_delivery_concurrency_limit", "Payloads that may be on their way at once."),
        ("forebay_delivery_queued_shares", "Shares of requests that wait."),
        ("forebay_delivery_queued_bytes", "Their bytes as they arrived."),
        ("forebay_delivery_oldest_seconds", "Age of the oldest record not delivered yet."),
        ("forebay_delivery_last_success_timestamp_seconds", "When a record was last delivered."),
        ("forebay_journal_bytes", "Bytes of the journal on disk."),
        ("forebay_journal_max_bytes", "Bytes that the journal may have."),
        ("forebay_journal_sync_seconds_total", "Time spent making groups durable."),
        ("forebay_journal_behind_requests", "Requests in the journal that the sink has not finished."),
        ("forebay_journal_returned_requests", "The part of them that came back and waits for another try."),
        ("forebay_journal_window_used_bytes", "Memory that holds what is on its way from the journal."),
        ("forebay_dead_letters_bytes", "Bytes of dead letters on disk."),
        ("forebay_memory_budget_bytes", "Bytes that payloads may hold."),
        ("forebay_memory_budget_used_bytes", "Bytes that payloads hold."),
        ("forebay_process_start_time_seconds", "When this process started."),
        ("forebay_build_info", "1, with the version as a label."),
    ];
    for (name, help) in gauges {
        describe_gauge!(name, help);
    }
}
