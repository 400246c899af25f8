//! A load: clients that send batch after batch, each until it is taken, and keep a book of what they were told.

use crate::client::{Answer, client};
use crate::event::Event;
use forebay_tests::gateway::Ports;
use forebay_tests::wait_until;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The longest wait between two attempts, whatever the answer asks for: the tests have no time for more.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Between two attempts when nobody answered.
const REDIAL: Duration = Duration::from_millis(200);
/// How long after the end of the load a client goes on with its last batch.
const LAST_BATCH: Duration = Duration::from_secs(60);

/// What kind of load.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Begins every id: no two loads of one index may share it.
    pub prefix: &'static str,
    /// Protocol of each client.
    pub clients: Vec<&'static str>,
    /// Records per request.
    pub batch: usize,
    /// Bytes of each record's message.
    pub text_bytes: usize,
    /// Between two batches of one client.
    pub pause: Duration,
    /// Never send a batch again whose first attempt was turned away at the door for want of memory.
    pub easily_put_off: bool,
}

/// What clients were told.
#[derive(Debug, Default)]
pub struct Tally {
    /// Ids of records whose request was taken.
    pub acknowledged: Vec<String>,
    /// Ids of records whose client gave up without an answer that says what became of them.
    pub in_doubt: Vec<String>,
    /// Ids of records of requests that were turned away at the door, and never sent again.
    pub put_off: Vec<String>,
    /// Answers that told to try again.
    pub again: u64,
    /// Attempts without an answer.
    pub unanswered: u64,
}

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<Tally>>,
}

#[derive(Debug, Default)]
struct Progress {
    /// No further batches.
    stop: AtomicBool,
    /// No further attempts either.
    abort: AtomicBool,
    acknowledged: AtomicU64,
    again: AtomicU64,
}

impl Load {
    /// Starts the clients, each in a thread with a connection of its own.
    pub fn start(shape: &Shape, ports: Ports) -> Self {
        let progress = Arc::new(Progress::default());
        let mut threads = Vec::new();
        for (number, protocol) in shape.clients.iter().copied().enumerate() {
            let (shape, progress) = (shape.clone(), Arc::clone(&progress));
            threads.push(thread::spawn(move || work(&shape, &progress, number, protocol, ports)));
        }
        Self { progress, threads }
    }

    /// Records acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.progress.acknowledged.load(Relaxed)
    }

    /// Answers so far that told to try again.
    pub fn again(&self) -> u64 {
        self.progress.again.load(Relaxed)
    }

    /// Waits until `count` more records are acknowledged than now.
    pub fn wait_for(&self, count: u64, timeout: Duration) {
        let goal = self.acknowledged() + count;
        wait_until("acknowledgements", timeout, || Ok((self.acknowledged() >= goal).then_some(()))).unwrap();
    }

    /// Lets the clients finish the batches that they have begun.
    pub fn finish(self) -> Tally {
        self.progress.stop.store(true, Relaxed);
        self.join()
    }

    /// Lets the clients end after the attempt that they are at: nobody is there to answer any more.
    pub fn abort(self) -> Tally {
        self.progress.stop.store(true, Relaxed);
        self.progress.abort.store(true, Relaxed);
        self.join()
    }

    fn join(self) -> Tally {
        let mut sum = Tally::default();
        for thread in self.threads {
            let Tally { acknowledged, in_doubt, put_off, again, unanswered } = thread.join().unwrap();
            sum.acknowledged.extend(acknowledged);
            sum.in_doubt.extend(in_doubt);
            sum.put_off.extend(put_off);
            sum.again += again;
            sum.unanswered += unanswered;
        }
        sum
    }
}

impl Tally {
    /// Compares with the sorted ids that a sink holds: every acknowledged record is there, nothing is there that was not
    /// sent or was put off.
    pub fn assert_nothing_lost(&self, found: &[String]) {
        let found: BTreeSet<&String> = found.iter().collect();
        let lost: Vec<&String> = self.acknowledged.iter().filter(|id| !found.contains(id)).collect();
        assert!(
            lost.is_empty(),
            "{} acknowledged records are lost: {:?} ...",
            lost.len(),
            &lost[..lost.len().min(5)]
        );
        let half_taken: Vec<&String> = self.put_off.iter().filter(|id| found.contains(id)).collect();
        assert!(half_taken.is_empty(), "{} records of refused requests are stored", half_taken.len());
        let sent: BTreeSet<&String> = self.acknowledged.iter().chain(&self.in_doubt).collect();
        let strangers: Vec<&&String> = found.difference(&sent).collect();
        assert!(strangers.is_empty(), "{} records that nobody sent: {strangers:?}", strangers.len());
    }

    /// As [`assert_nothing_lost`](Self::assert_nothing_lost), and nothing is there twice.
    pub fn assert_exactly_once(&self, found: &[String]) {
        self.assert_nothing_lost(found);
        let twice: Vec<&String> =
            found.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
        assert!(
            twice.is_empty(),
            "{} records are stored more than once: {:?}",
            twice.len(),
            &twice[..twice.len().min(5)]
        );
    }
}

/// What became of one batch.
enum Fate {
    Acknowledged,
    InDoubt,
    PutOff,
}

fn work(shape: &Shape, progress: &Progress, number: usize, protocol: &str, ports: Ports) -> Tally {
    let mut client = client(protocol, ports);
    let mut tally = Tally::default();
    for batch in 0_u64.. {
        if progress.stop.load(Relaxed) {
            break;
        }
        let mut events = Event::batch(&format!("{}-{number}-{batch}", shape.prefix), shape.batch);
        for event in &mut events {
            event.text = "x".repeat(shape.text_bytes);
        }
        let fate = insist(shape, progress, &mut tally, || client.send(&events));
        let ids = events.into_iter().map(|event| event.id);
        match fate {
            Fate::Acknowledged => {
                tally.acknowledged.extend(ids);
                progress.acknowledged.fetch_add(shape.batch as u64, Relaxed);
            }
            Fate::InDoubt => tally.in_doubt.extend(ids),
            Fate::PutOff => tally.put_off.extend(ids),
        }
        thread::sleep(shape.pause);
    }
    tally
}

/// Sends one batch until it is taken.
fn insist(
    shape: &Shape,
    progress: &Progress,
    tally: &mut Tally,
    mut attempt: impl FnMut() -> Answer,
) -> Fate {
    let mut stopped_at = None;
    for count in 1.. {
        match attempt() {
            Answer::Taken(report) => {
                assert_eq!((report.rejected, report.dead_lettered), (0, 0), "{report:?}");
                return Fate::Acknowledged;
            }
            Answer::Again { after, reason } => {
                tally.again += 1;
                progress.again.fetch_add(1, Relaxed);
                assert!(!after.is_zero(), "told to try again at once: {reason}");
                // Only a request that never came in is known to be nowhere.
                if shape.easily_put_off && count == 1 && reason.contains("memory budget exhausted") {
                    return Fate::PutOff;
                }
                thread::sleep(after.min(LONGEST_WAIT));
            }
            Answer::Nothing(_) => {
                tally.unanswered += 1;
                thread::sleep(REDIAL);
            }
            Answer::Never(reason) => panic!("told never to send again: {reason}"),
        }
        if progress.abort.load(Relaxed) {
            break;
        }
        if progress.stop.load(Relaxed) && stopped_at.get_or_insert_with(Instant::now).elapsed() > LAST_BATCH {
            break;
        }
    }
    Fate::InDoubt
}
