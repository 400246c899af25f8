//! The writer over a folder that is in trouble, and its end.
#![allow(clippy::unwrap_used)]

use super::close::{self, Unclosed};
use super::keeping::Unkept;
use super::service::Published;
use super::stats::JournalStats;
use super::writer::{Job, Task, Writer};
use crate::admit::Tally;
use crate::body::Body;
use crate::budget::Budget;
use crate::ids::Ids;
use crate::journal::block_file::BlockFile;
use crate::journal::frame::{IdKind, Label};
use crate::journal::plans::Plans;
use crate::journal::storage::{Folder, Storage};
use crate::journal::{Journal, JournalConfig, segment};
use crate::ledger::Ledger;
use crate::route::{Mode, RouteConfig};
use crate::rules::{Parcels, Rules, RulesConfig};
use crate::units::Period;
use crate::wire::WireId;
use crate::wire::json::Format;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that panics, once it is in trouble, where a file of the log is begun, and that cannot be listed then.
#[derive(Debug)]
struct Troubled {
    folder: Folder,
    is_in_trouble: AtomicBool,
    /// Nor can the cursors be written.
    is_read_only: AtomicBool,
}

fn trouble() -> io::Error {
    io::Error::other("told to")
}

impl Storage for Troubled {
    type Appender = BlockFile;

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        if self.is_in_trouble.load(Relaxed) { Err(trouble()) } else { self.folder.list() }
    }

    fn create(&self, name: &str) -> io::Result<BlockFile> {
        let is_of_log = segment::base_of(name).is_some();
        assert!(!(is_of_log && self.is_in_trouble.load(Relaxed)), "told to");
        self.folder.create(name)
    }

    fn read(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.folder.read(name, offset, len)
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        self.folder.truncate(name, len)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if self.is_read_only.load(Relaxed) { Err(trouble()) } else { self.folder.rename(from, to) }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.folder.sync_names()
    }
}

/// A writer at work in such a folder, for one sink.
struct House {
    storage: Arc<Troubled>,
    cursors: crate::journal::SharedCursors,
    tasks: SyncSender<Task>,
    writer: JoinHandle<Result<(), Unclosed>>,
    rules: Arc<Rules>,
    ledger: Ledger,
}

impl House {
    fn new(path: &Path) -> Self {
        let folder = Folder::open(path).unwrap();
        let storage = Troubled { folder, is_in_trouble: false.into(), is_read_only: false.into() };
        let storage = Arc::new(storage);
        let config = JournalConfig::default();
        let plans = Arc::new(Plans::open(&*storage).unwrap());
        let sinks = ["sink".to_owned()];
        let (mut journal, _) = Journal::open(Arc::clone(&storage), config.log(), &sinks).unwrap();
        journal.checkpoint().unwrap();
        let cursors = journal.cursors();
        let stats = Arc::new(JournalStats::default());
        stats.anchored.store(true, Relaxed);
        let (tasks, received) = sync_channel(8);
        let writer = Writer {
            journal,
            plans,
            tasks: received,
            published: Arc::new(Published::default().into()),
            stats,
            max_bytes: config.max_bytes.0,
            sync_interval: Duration::ZERO,
            synced_at: Instant::now(),
            newest: 0,
            closes: false,
        };
        let ledger = Ledger::default();
        let rules = rules(&ledger);
        Self { storage, cursors, tasks, writer: thread::spawn(|| writer.run()), rules, ledger }
    }

    /// Hands in a body of one record. The answer to come.
    fn keep(&self) -> oneshot::Receiver<Result<(), Unkept>> {
        let bytes = &b"{}\n"[..];
        let rules = Arc::clone(&self.rules);
        let index = rules.check_json(bytes, 0, rules.json("json", Format::Lines)).unwrap();
        let parcels = Parcels::of(&index);
        let body = Body {
            bytes: bytes.into(),
            wire: WireId::JsonLines,
            index,
            ids: Ids::None,
            arrived: 0,
            receiver: "json".into(),
            lease: Budget::new(0).lease(0).unwrap(),
        };
        let label = Label {
            wire: body.wire,
            ids: IdKind::None,
            arrived: 0,
            epoch: 0,
            counter: 0,
            plan: 0,
            records: 1,
        };
        let tally = Tally::new(&self.ledger.door("json"), None, 1, 0);
        let (answer, kept) = oneshot::channel();
        let outlets = Arc::new([]);
        let (body, _plan) = (Arc::new(body), Arc::new(0));
        let job = Job { body, parcels, rules, _plan, outlets, label, packed: None, tally, answer };
        self.tasks.send(Task::Keep(Box::new(job))).unwrap();
        kept
    }

    fn end(self) -> Result<(), Unclosed> {
        runtime().block_on(close::end(&self.tasks, self.writer, PATIENCE))
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn rules(ledger: &Ledger) -> Arc<Rules> {
    // No record is for the sink: nobody draws from this journal.
    let route =
        r#"[{"name": "none", "when": {"field": "x", "exists": true}, "to": ["sink"], "index": "none"}]"#;
    let routes: Vec<RouteConfig> = serde_json::from_str(route).unwrap();
    let config = RulesConfig {
        routes,
        route_mode: Mode::FirstMatch,
        promote: Vec::new(),
        max_event_age: Period::secs(1),
        max_event_lead: Period::secs(1),
        max_records: 10,
        max_record_bytes: 1_000,
        json: BTreeMap::new(),
    };
    Arc::new(Rules::build(&config, &["sink".into()], ledger).unwrap())
}

/// The answer, or that there is none.
fn answered(
    kept: oneshot::Receiver<Result<(), Unkept>>,
) -> Result<Result<(), Unkept>, oneshot::error::RecvError> {
    runtime().block_on(async { tokio::time::timeout(PATIENCE, kept).await }).unwrap()
}

#[test]
fn while_its_log_cannot_be_opened_again_requests_are_refused_and_the_end_is_heard_of() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path());
    house.storage.is_in_trouble.store(true, Relaxed);
    // Torn up by the panic.
    assert!(answered(house.keep()).is_err());
    let refused = Unkept::Failed { reason: "told to".to_owned() };
    assert_eq!(answered(house.keep()).unwrap(), Err(refused));
    assert_eq!(house.ledger.door("json").refused(), 2);
    assert_eq!(house.end(), Err(Unclosed::Log));
}

#[test]
fn what_the_cursors_do_not_say_at_the_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path());
    answered(house.keep()).unwrap().unwrap();
    assert_eq!(house.end(), Ok(()));
    for is_in_trouble in [true, false] {
        let house = House::new(folder.path());
        house.storage.is_read_only.store(true, Relaxed);
        house.storage.is_in_trouble.store(is_in_trouble, Relaxed);
        if is_in_trouble {
            assert!(answered(house.keep()).is_err());
        }
        house.cursors.lock().0.get_mut("sink").unwrap().finish(0);
        assert_eq!(house.end(), Err(Unclosed::Cursors { again: 1 }));
    }
}

#[test]
fn a_log_that_can_be_opened_again_goes_on_and_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path());
    house.storage.is_in_trouble.store(true, Relaxed);
    assert!(answered(house.keep()).is_err());
    house.storage.is_in_trouble.store(false, Relaxed);
    let began = Instant::now();
    while answered(house.keep()).unwrap().is_err() {
        assert!(began.elapsed() < PATIENCE, "never");
        thread::sleep(Duration::from_millis(50));
    }
    house.cursors.lock().0.get_mut("sink").unwrap().finish(0);
    assert_eq!(house.end(), Ok(()));
}

#[test]
fn a_writer_that_hangs_is_not_waited_for() {
    let (tasks, received) = sync_channel(1);
    tasks.send(Task::Close).unwrap();
    let (go, told) = sync_channel::<()>(1);
    // It takes nothing, and so there is no room to tell it anything.
    let writer = thread::spawn(move || {
        let _ = told.recv();
        drop(received);
        Ok(())
    });
    let patience = Duration::from_millis(50);
    assert_eq!(runtime().block_on(close::end(&tasks, writer, patience)), Err(Unclosed::Late(patience)));
    drop(go);
}

#[test]
fn a_writer_that_panicked_is_told_of() {
    let (tasks, _received) = sync_channel(1);
    let writer: JoinHandle<Result<(), Unclosed>> = thread::spawn(|| unreachable!("told to"));
    assert_eq!(runtime().block_on(close::end(&tasks, writer, PATIENCE)), Err(Unclosed::Panicked));
}
