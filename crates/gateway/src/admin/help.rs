//! Help texts of the metrics, in the order of the page.

use metrics::{describe_counter, describe_gauge};

const COUNTERS: &[(&str, &str)] = &[
    ("forebay_receiver_received_records_total", "Records read from clients: admitted + rejected + refused."),
    ("forebay_receiver_records_total", "Records by what became of them at the door."),
    ("forebay_receiver_unread_requests_total", "Requests turned away before their records were counted."),
    ("forebay_receiver_bytes_total", "Bytes of request bodies as they came."),
    ("forebay_receiver_answers_total", "Requests by what their client was told."),
    ("forebay_receiver_tls_handshakes_total", "TLS handshakes that were done."),
    ("forebay_receiver_tls_handshake_failures_total", "TLS handshakes that failed, by reason."),
    (
        "forebay_receiver_unauthenticated_requests_total",
        "Requests turned away because nobody who may send is known by them, by reason.",
    ),
    (
        "forebay_receiver_file_reloads_total",
        "Files of certificates or secrets that were replaced, by what became of them.",
    ),
    ("forebay_tenant_records_total", "Records of each tenant by what became of them at the door."),
    ("forebay_tenant_bytes_total", "Bytes of each tenant's request bodies, not compressed."),
    (
        "forebay_tenant_over_quota_requests_total",
        "Requests turned away because their tenant was over its quota.",
    ),
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
    ("forebay_events_outside_window_total", "Events whose time was too far off to choose their destination."),
    (
        "forebay_syslog_unparsed_messages_total",
        "Messages of syslog in no known form, which were kept whole as their text.",
    ),
    (
        "forebay_unanswered_connections_total",
        "Connections closed without an answer because the memory for connections was full.",
    ),
    ("forebay_log_lost_lines_total", "Lines of the log that could not be written or that nobody read."),
    ("forebay_task_panics_total", "Tasks that panicked."),
    ("forebay_task_restarts_total", "Tasks that were started again after a panic."),
    ("forebay_config_reloads_total", "Configurations that were read again, by what became of them."),
    ("forebay_journal_requests_total", "Requests written to the journal."),
    ("forebay_journal_written_bytes_total", "Bytes of these requests as written."),
    ("forebay_journal_syncs_total", "Groups of requests made durable."),
    ("forebay_journal_checkpoints_total", "Times that the cursors were made durable, or had not moved."),
    ("forebay_journal_refused_requests_total", "Requests turned away because the journal was full."),
    ("forebay_journal_failures_total", "Writes and syncs of the journal that failed."),
    ("forebay_journal_dropped_requests_total", "Requests that a sink lost because it was too far behind."),
    ("forebay_journal_dropped_records_total", "Records of these requests."),
    ("forebay_journal_lost_requests_total", "Requests found damaged when a sink was to have them."),
];

const GAUGES: &[(&str, &str)] = &[
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
    ("forebay_dead_letters_max_bytes", "Bytes of them at which no more are taken."),
    ("forebay_receiver_connections", "Connections that are open."),
    (
        "forebay_receiver_tls_certificate_expiry_timestamp_seconds",
        "When the first certificate of the chain in use expires.",
    ),
    (
        "forebay_pressure",
        "From 0 to 1: CPU used of that allowed since the last look, or memory budget used while no sink is slow.",
    ),
    ("forebay_memory_budget_bytes", "Bytes that payloads may hold."),
    ("forebay_memory_budget_used_bytes", "Bytes that payloads hold."),
    ("forebay_connection_memory_bytes", "Bytes that connections may take beside payloads."),
    ("forebay_connection_memory_used_bytes", "Bytes that connections take beside payloads."),
    (
        "forebay_config_last_reload_timestamp_seconds",
        "When the present configuration was reloaded; 0 for never.",
    ),
    ("forebay_process_start_time_seconds", "When this process started."),
    ("forebay_process_cpu_seconds_total", "User and system time of this process."),
    ("forebay_process_resident_memory_bytes", "Memory of this process that is really there."),
    ("forebay_build_info", "1, with the version as a label."),
];

/// Gives every metric its help text.
pub fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(*name, *help);
    }
    for (name, help) in GAUGES {
        describe_gauge!(*name, *help);
    }
}

/// Counters of seconds, which are no whole numbers: the recorder has only gauges for those.
const SECONDS: [&str; 2] = ["forebay_journal_sync_seconds_total", "forebay_process_cpu_seconds_total"];

/// The page with the types of such counters put right.
pub fn with_types(mut page: String) -> String {
    for name in SECONDS {
        page = page.replacen(&format!("# TYPE {name} gauge\n"), &format!("# TYPE {name} counter\n"), 1);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_a_total_is_a_counter() {
        for (name, _) in GAUGES.iter().filter(|(name, _)| name.ends_with("_total")) {
            let page = format!("# HELP {name} x\n# TYPE {name} gauge\n{name} 1.5\n");
            let right = format!("# HELP {name} x\n# TYPE {name} counter\n{name} 1.5\n");
            assert_eq!(with_types(page), right);
        }
        assert_eq!(
            with_types("# TYPE forebay_pressure gauge\n".to_owned()),
            "# TYPE forebay_pressure gauge\n"
        );
    }
}
