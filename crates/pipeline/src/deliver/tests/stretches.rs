//! How long an encoding keeps its worker.

use super::super::attempt::{Context, encode};
use super::super::queued::Queued;
use super::*;
use std::future::Future as _;
use std::task::{Context as Waking, Poll, Waker};

/// Writes so many bytes for each byte of a record.
#[derive(Debug)]
struct Swelling(usize);

#[derive(Debug)]
struct Swollen {
    times: usize,
    bytes: usize,
    records: u32,
}

impl Sink for Swelling {
    fn encoder(&self, _: &str, _: usize) -> Box<dyn Encoder> {
        Box::new(Swollen { times: self.0, bytes: 0, records: 0 })
    }

    fn send<'a>(&'a self, _: &'a Payload) -> BoxFuture<'a, Verdicts> {
        Box::pin(async { Verdicts::Delivered })
    }

    fn render(&self, _: &Share, _: u32) -> Vec<u8> {
        Vec::new()
    }
}

impl Encoder for Swollen {
    fn push(&mut self, share: &Share) -> u32 {
        self.bytes += share.bytes() * self.times;
        self.records += share.records();
        share.records()
    }

    fn len(&self) -> usize {
        self.bytes
    }

    fn finish(self: Box<Self>) -> Payload {
        Payload {
            destination: "logs".into(),
            bytes: Default::default(),
            gzip: false,
            records: self.records,
            id: 0,
        }
    }
}

/// How often an encoding gives its worker back: of one body of `records` records of 100 bytes, whose documents are `times` as long.
fn rests(records: usize, times: usize) -> usize {
    let budget = Budget::new(1 << 30);
    let sink = Arc::new(Swelling(times));
    let store = Arc::new(Store::default());
    let context = Arc::new(Context::new(
        "es".into(),
        sink,
        DeliveryConfig::default(),
        Arc::clone(&budget),
        store,
        Arc::default(),
    ));
    let account = Ledger::default().account("es", "logs");
    let receipt = Receipt::open();
    let records = vec!["x".repeat(100); records];
    let share = Share {
        body: body(&records, budget.lease(1).unwrap(), Duration::ZERO),
        ranges: std::iter::once(0..records.len() as u32).collect(),
        claim: receipt.claim(&account, records.len() as u32),
        destination: "logs".into(),
        on_refused: OnRefused::DeadLetter,
    };
    let mut encoding = Box::pin(encode(context, "logs".into(), vec![Queued::new(share)]));
    let mut rests = 0;
    loop {
        match encoding.as_mut().poll(&mut Waking::from_waker(Waker::noop())) {
            Poll::Ready(encoded) => {
                assert_eq!(encoded.parcel.map(|parcel| parcel.records), Some(records.len() as u32));
                return rests;
            }
            Poll::Pending => rests += 1,
        }
    }
}

/// Otherwise other requests wait for as long as one takes that is small and makes a great deal of text.
#[test]
fn a_worker_is_given_back_by_what_is_read_and_by_what_is_written() {
    // 1 MB read, in eight stretches; the same where documents are a little longer than what was read.
    assert_eq!((rests(10_000, 1), rests(10_000, 4)), (7, 7));
    // 1 MB read and 100 MB written: a hundred stretches, one of them at the beginning still long.
    assert!(rests(10_000, 100) > 80, "{}", rests(10_000, 100));
}
