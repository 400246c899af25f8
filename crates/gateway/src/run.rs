//! `forebay run`: start, serve until a signal, drain, and close the books.

use crate::admin::{self, Health};
use crate::graph::{Blueprint, Graph};
use crate::receivers::Look;
use crate::source::{Source, Watch};
use crate::version::VERSION;
use crate::{logging, memory};
use forebay_pipeline::journal::Service;
use forebay_pipeline::ledger::{Ledger, Outcome, Told};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs the gateway until SIGTERM or SIGINT.
pub fn run(blueprint: Blueprint, source: &Source) -> anyhow::Result<ExitCode> {
    let _log = logging::start(&blueprint.settings.log)?;
    let threads = match blueprint.settings.runtime.threads {
        Some(threads) => threads as usize,
        None => std::thread::available_parallelism()?.get(),
    };
    let descriptors = raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .thread_name("worker")
        .build()?;
    tracing::info!(
        version = VERSION,
        threads,
        descriptors,
        memory_available_bytes = memory::available(),
        memory_budget_bytes =
            blueprint.settings.limits.memory.map_or_else(memory::default_budget, |size| size.as_usize()),
        "starting"
    );
    let code = runtime.block_on(serve(blueprint, source));
    // What still reads or writes a disk that hangs must not keep the process here.
    runtime.shutdown_background();
    code
}

/// Takes all the file descriptors that the system grants: the usual soft limit of 1024 is less than the connections that one
/// listener may have. Returns the limit, if there is one.
fn raise_descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

async fn serve(blueprint: Blueprint, source: &Source) -> anyhow::Result<ExitCode> {
    // Signals that come while starting must not be lost.
    let mut signals = Signals::new()?;
    let health = Arc::new(Health::default());
    let heartbeat = health.start_beating();
    let admin = admin::serve(blueprint.settings.admin.listen, Arc::clone(&health))?;
    let mut graph = blueprint.start().await?;
    admin.tell_of(&graph);
    tracing::info!(admin = %admin.address, listening = %graph.started, "ready");
    let name = until_end(&mut graph, source, &mut signals).await;
    health.drain();
    graph.started.fail_health().await;
    let drain = graph.settings.drain.clone();
    tracing::info!(signal = name, door_open = %drain.door_open, deadline = %drain.deadline, "draining");
    let is_hurried = tokio::select! {
        () = tokio::time::sleep(drain.door_open.0) => false,
        _ = signals.end() => {
            tracing::warn!("a second signal: the door closes now");
            true
        }
    };
    let ledger = Arc::clone(&graph.ledger);
    let journal = graph.journal.clone();
    let settled = tokio::select! {
        settled = Graph::drain(graph, drain.deadline.0) => settled,
        () = signals.enough(is_hurried) => {
            // As after `kill -9`: clients that wait have no answer, and what the journal keeps is there for the next start.
            tracing::warn!("one more signal: what is on its way is given up");
            false
        }
    };
    heartbeat.abort();
    let balanced = close_books(&ledger, journal.as_deref());
    Ok(if settled && balanced { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The signals that mean something.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal to end; its name.
    async fn end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

impl Signals {
    /// The third signal; `is_second_here` if the second has come already.
    async fn enough(&mut self, is_second_here: bool) {
        if !is_second_here {
            self.end().await;
            tracing::warn!(
                "a second signal: the door is closed already; one more gives up what is on its way"
            );
        }
        self.end().await;
    }
}

/// Runs, and takes on what the configuration and the files of certificates become, until a signal to end.
async fn until_end(graph: &mut Graph, source: &Source, signals: &mut Signals) -> &'static str {
    let mut watch = Watch::new(source);
    loop {
        let interval = graph.settings.reload.interval.0;
        let watches = graph.settings.reload.watch;
        tokio::select! {
            _ = signals.terminate.recv() => return "SIGTERM",
            _ = signals.interrupt.recv() => return "SIGINT",
            _ = signals.hangup.recv() => {
                reload(graph, source, "SIGHUP");
                graph.started.look(Look::AtOnce);
            }
            () = tokio::time::sleep(interval) => {
                if watches && watch.has_changed() {
                    reload(graph, source, "the file has changed");
                }
                graph.started.look(Look::AtRest);
            }
        }
    }
}

fn reload(graph: &mut Graph, source: &Source, why: &str) {
    let reloaded = source.draw().and_then(|blueprint| graph.reload(blueprint));
    match reloaded {
        Ok(()) => tracing::info!(why, file = source.name(), "the configuration was reloaded"),
        Err(reasons) => {
            for reason in &reasons {
                tracing::error!(why, reason, "the configuration was not reloaded");
            }
            // Whoever sees the count finds the reasons in the log.
            graph.reloads.refuse();
        }
    }
}

/// Writes the ledger as the last line of the log and says whether both equations hold.
fn close_books(ledger: &Ledger, journal: Option<&Service>) -> bool {
    let doors: Vec<Value> = ledger.doors().iter().map(|door| {
        let told: serde_json::Map<_, _> =
            Told::ALL.iter().map(|told| (told.name().to_owned(), door.told(*told).into())).collect();
        json!({
            "receiver": *door.receiver, "received": door.received(), "admitted": door.admitted(),
            "rejected": door.rejected(), "refused": door.refused(), "unread_requests": door.unread(), "answers": told,
        })
    }).collect();
    let mut balanced = ledger.doors().iter().all(|door| door.balances());
    let accounts: Vec<Value> = ledger
        .accounts()
        .iter()
        .map(|account| {
            let mut entry = json!({ "sink": *account.sink, "route": *account.route, "owed": account.owed(), "recovered": account.recovered() });
            for outcome in Outcome::ALL {
                entry[outcome.name()] = account.settled(outcome).into();
            }
            entry["in_flight"] = account.in_flight().into();
            balanced &= account.in_flight() == 0;
            entry
        })
        .collect();
    let kept: Vec<Value> = journal.map(Service::progress).unwrap_or_default().iter().map(|progress| {
        json!({ "sink": *progress.sink, "requests": progress.behind, "lost_requests": progress.lost, "dropped_requests": progress.lagged })
    }).collect();
    let line = json!({
        "timestamp": jiff::Timestamp::now().to_string(), "level": "INFO", "message": "ledger",
        "balanced": balanced, "doors": doors, "accounts": accounts, "journal": kept,
    });
    // Not through the log's filter and formatter: this line is always there, and its parts can be read as JSON.
    logging::line(&line.to_string());
    balanced
}
