//! What a client is told: one table from what happened to the answer of each protocol.

use forebay_pipeline::admit::Refusal;
use forebay_pipeline::budget::Exhausted;
use forebay_pipeline::journal::Unkept;
use forebay_pipeline::ledger::Told;
use forebay_pipeline::receipt::Settled;
use forebay_pipeline::wire::{Malformed, Rejected};
use http::{Request, StatusCode, Version};
use http_body::Body;
use std::time::Duration;
use tonic::Code;

/// The longest wait that a client over its quota is told. One that has to wait for longer is told again, which costs next to nothing; told
/// the whole of it at once, most clients would give up and drop what they have.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// When a client had better try again, where nobody knows better.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The longest text that a client is shown, in bytes: it travels in a header, and those have limits of their own.
const MAX_MESSAGE_BYTES: usize = 1024;

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Kind {
    /// The records cannot be read, or the compressed data around them.
    Malformed,
    /// The gRPC message around them is not one whole message.
    Framing,
    /// Over a limit that trying again does not change.
    TooLarge,
    /// No memory, or no room at a sink or in the journal.
    Busy,
    /// Its tenant has sent too much for now.
    OverQuota,
    /// Taken, but not delivered (in time).
    Undelivered,
    /// The body did not arrive in time.
    TooSlow,
    /// A content coding that is not understood.
    Encoding,
    /// A content type that is not understood.
    MediaType,
    /// Not a method of this resource.
    Method,
    /// Nothing is here, or not yet.
    Unknown,
    /// The client does not show, or does not show rightly, who it is.
    Unauthenticated,
    /// The client went away in the middle of its request: nobody hears the answer.
    Cut,
}

impl Kind {
    pub const COUNT: usize = Self::Cut as usize + 1;

    /// The protocols' words for it, and whether the client may send the request again.
    ///
    /// OTLP clients retry gRPC `DEADLINE_EXCEEDED` and `UNAVAILABLE`, and HTTP 503, but neither `INTERNAL` nor 408 nor 500
    /// (OTLP specification, "Failures"). `RESOURCE_EXHAUSTED` without RetryInfo is final, and with it to be tried again.
    const fn row(self) -> (Code, StatusCode, Told) {
        match self {
            Self::Malformed => (Code::InvalidArgument, StatusCode::BAD_REQUEST, Told::Rejected),
            Self::Framing => (Code::Internal, StatusCode::BAD_REQUEST, Told::Rejected),
            Self::TooLarge => (Code::ResourceExhausted, StatusCode::PAYLOAD_TOO_LARGE, Told::Rejected),
            Self::Busy | Self::Undelivered => {
                (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE, Told::Retry)
            }
            Self::OverQuota => (Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS, Told::Retry),
            Self::TooSlow => (Code::DeadlineExceeded, StatusCode::SERVICE_UNAVAILABLE, Told::Retry),
            Self::Encoding => (Code::Unimplemented, StatusCode::UNSUPPORTED_MEDIA_TYPE, Told::Rejected),
            Self::MediaType => (Code::Unimplemented, StatusCode::UNSUPPORTED_MEDIA_TYPE, Told::Rejected),
            Self::Method => (Code::Unimplemented, StatusCode::METHOD_NOT_ALLOWED, Told::Rejected),
            Self::Unknown => (Code::Unimplemented, StatusCode::NOT_FOUND, Told::Rejected),
            Self::Unauthenticated => (Code::Unauthenticated, StatusCode::UNAUTHORIZED, Told::Rejected),
            Self::Cut => (Code::Cancelled, StatusCode::BAD_REQUEST, Told::Gone),
        }
    }
}

/// A request that was not taken, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    /// For the client to read.
    pub message: String,
    retry_after: Option<Duration>,
    /// A part of the body was not read, so an HTTP/1.1 connection ends with the answer. A client that is not told so may send its next
    /// request into the end of it.
    is_last: bool,
}

impl Fault {
    /// A fault of this kind. A long message is cut.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: clip(message.into()), retry_after: None, is_last: false }
    }

    /// The request, or what it inflates to, is over `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(Kind::TooLarge, format!("the request is over the limit of {limit} bytes"))
    }

    /// The tenant of this name has to wait for so long.
    pub fn over_quota(tenant: &str, wait: Duration) -> Self {
        let message = format!("tenant {tenant} is over its quota for another {:.1} s", wait.as_secs_f64());
        Self { retry_after: Some(wait.min(LONGEST_WAIT)), ..Self::new(Kind::OverQuota, message) }
    }

    /// The same; `is_last` says whether the connection ends with its answer.
    pub fn ending(self, is_last: bool) -> Self {
        Self { is_last, ..self }
    }

    /// The same for a request of which nothing was read but its head.
    pub fn unread<B: Body>(self, request: &Request<B>) -> Self {
        self.ending(request.version() < Version::HTTP_2 && !request.body().is_end_stream())
    }

    /// Whether the connection ends with its answer.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// The status of a gRPC answer.
    pub fn code(&self) -> Code {
        self.kind.row().0
    }

    /// The status of an HTTP answer.
    pub fn http_status(&self) -> StatusCode {
        self.kind.row().1
    }

    /// What the client learns from it.
    pub fn told(&self) -> Told {
        self.kind.row().2
    }

    /// When to try again; `None` means never.
    pub fn retry_after(&self) -> Option<Duration> {
        (self.told() == Told::Retry).then(|| self.retry_after.unwrap_or(RETRY_AFTER))
    }
}

impl From<Exhausted> for Fault {
    fn from(exhausted: Exhausted) -> Self {
        if exhausted.is_hopeless() {
            let Exhausted { total, limit, .. } = exhausted;
            let message =
                format!("the request needs {total} bytes of memory, of {limit} for all requests together");
            return Self::new(Kind::TooLarge, message);
        }
        Self::new(Kind::Busy, exhausted.to_string())
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        use Malformed::{RecordTooLarge, TooLarge, TooManyRecords};
        let kind = match &refusal {
            Refusal::Malformed(RecordTooLarge { .. } | TooManyRecords { .. } | TooLarge { .. }) => {
                Kind::TooLarge
            }
            Refusal::Malformed(_) => Kind::Malformed,
            Refusal::Exhausted(exhausted) => return (*exhausted).into(),
            Refusal::Unkept(Unkept::TooLarge { .. }) => Kind::TooLarge,
            Refusal::SinkFull { .. } | Refusal::Behind { .. } | Refusal::Unkept(_) => Kind::Busy,
        };
        Self::new(kind, refusal.to_string())
    }
}

/// A request that was taken, and what became of its records.
#[derive(Debug, Default)]
pub struct Taken {
    /// Records delivered, or kept in the dead letters.
    pub accepted: u64,
    /// Records refused for good and not kept.
    pub rejected: u64,
    /// Records among the accepted that are in the dead letters.
    pub dead_lettered: u64,
    /// Some sink has stored a record, or the dead letters have one, perhaps of those that another sink refused.
    pub anything_stored: bool,
    /// The first few records refused when the request was read: place in the request (from 1) and reason.
    pub reasons: Vec<(usize, Malformed)>,
    /// The numbers of the records that a sink refused for good and that were not kept, ascending.
    pub refused: Vec<u32>,
    /// Why a sink did not take the first of those that it did not take.
    pub sink_reason: Option<String>,
}

impl Taken {
    /// What became of `records` admitted ones, beside those that admission itself `rejected`.
    ///
    /// # Errors
    /// Some were abandoned: the client must send all of them again.
    pub fn new(records: u64, rejected: Rejected, settled: Settled) -> Result<Self, Fault> {
        let sink_reason = settled.reason.map(clip);
        if settled.abandoned > 0 {
            let why = sink_reason.unwrap_or_else(|| "delivery was given up".to_owned());
            let were = if records == 1 { "record was" } else { "records were" };
            let message = format!("{} of {records} {were} not delivered: {why}", settled.abandoned);
            return Err(Fault { retry_after: settled.retry_after, ..Fault::new(Kind::Undelivered, message) });
        }
        let mut refused = settled.rejected_items;
        refused.sort_unstable();
        refused.dedup();
        // A record that several sinks refused is one record.
        let sunk = refused.len() as u64;
        Ok(Self {
            accepted: records.saturating_sub(sunk),
            rejected: rejected.count + sunk,
            dead_lettered: settled.dead_lettered,
            anything_stored: settled.delivered + settled.dead_lettered > 0,
            reasons: rejected.reasons,
            refused,
            sink_reason,
        })
    }

    /// Whether there were records and none of them was taken, by any sink.
    pub fn nothing_taken(&self) -> bool {
        self.accepted == 0 && self.rejected > 0 && !self.anything_stored
    }

    /// What the client learns from it.
    pub fn told(&self) -> Told {
        if self.nothing_taken() { Told::Rejected } else { Told::Ok }
    }

    /// What a client should know although its request was a success; empty if there is nothing to know.
    pub fn message(&self) -> String {
        let mut parts = Vec::new();
        if self.rejected > 0 {
            parts.push(format!("{} rejected", records_were(self.rejected)));
        }
        for (position, reason) in &self.reasons {
            parts.push(format!("record {position}: {reason}"));
        }
        if self.dead_lettered > 0 {
            let kept = records_were(self.dead_lettered);
            parts.push(format!("{kept} refused by a sink and kept in the dead letters"));
        }
        if let Some(reason) = &self.sink_reason
            && !parts.is_empty()
        {
            parts.push(format!("the sink said: {reason}"));
        }
        clip(parts.join("; "))
    }
}

/// A number of records, before a participle.
fn records_were(count: u64) -> String {
    if count == 1 { "1 record was".to_owned() } else { format!("{count} records were") }
}

fn clip(mut message: String) -> String {
    if message.len() > MAX_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES - 3));
        message.push_str("...");
    }
    message
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The table as the OTLP specification has it: retryable codes are retried, the others are not.
    #[test]
    fn the_answer_says_retry_exactly_when_clients_of_otlp_retry() {
        let retryable_codes = [Code::Unavailable, Code::DeadlineExceeded];
        // With RetryInfo alone.
        let over_quota = Fault::new(Kind::OverQuota, "");
        assert_eq!((over_quota.code(), over_quota.told()), (Code::ResourceExhausted, Told::Retry));
        assert!(over_quota.http_status() == 429 && over_quota.retry_after().is_some());
        for kind in [
            Kind::Malformed,
            Kind::Framing,
            Kind::TooLarge,
            Kind::Busy,
            Kind::Undelivered,
            Kind::TooSlow,
            Kind::Encoding,
            Kind::MediaType,
            Kind::Method,
            Kind::Unknown,
            Kind::Unauthenticated,
        ] {
            let fault = Fault::new(kind, "");
            let retry = fault.told() == Told::Retry;
            assert_eq!(retryable_codes.contains(&fault.code()), retry, "{kind:?}");
            assert_eq!([429, 502, 503, 504].contains(&fault.http_status().as_u16()), retry, "{kind:?}");
            assert_eq!(fault.retry_after().is_some(), retry, "{kind:?}");
            assert_ne!(fault.http_status().as_u16(), 500);
        }
    }

    #[test]
    fn who_is_over_the_quota_is_told_the_wait_but_never_a_long_one() {
        let told = |seconds| Fault::over_quota("acme", Duration::from_secs(seconds)).retry_after();
        assert_eq!((told(7), told(3_600)), (Some(Duration::from_secs(7)), Some(LONGEST_WAIT)));
        let message = Fault::over_quota("acme", Duration::from_millis(1_250)).message;
        assert_eq!(message, "tenant acme is over its quota for another 1.2 s");
    }

    #[test]
    fn a_record_that_two_sinks_refused_is_one_record() {
        let settled = Settled { rejected: 2, rejected_items: vec![0, 0], ..Settled::default() };
        let taken = Taken::new(2, Rejected::default(), settled).unwrap();
        assert_eq!((taken.accepted, taken.rejected, taken.told()), (1, 1, Told::Ok));
    }

    #[test]
    fn an_abandoned_record_makes_the_whole_request_one_to_repeat() {
        let settled = Settled {
            abandoned: 2,
            dead_lettered: 1,
            reason: Some("es: 429".to_owned()),
            retry_after: Some(Duration::from_secs(7)),
            ..Settled::default()
        };
        let fault = Taken::new(10, Rejected::default(), settled).unwrap_err();
        assert_eq!((fault.kind, fault.retry_after()), (Kind::Undelivered, Some(Duration::from_secs(7))));
        assert_eq!(fault.message, "2 of 10 records were not delivered: es: 429");
    }

    #[test]
    fn rejected_and_dead_lettered_records_are_named() {
        let mut rejected = Rejected::default();
        rejected.push(3, Malformed::NotAnObject { record: 3 });
        let settled =
            Settled { dead_lettered: 2, reason: Some("no mapping".to_owned()), ..Settled::default() };
        let taken = Taken::new(9, rejected, settled).unwrap();
        assert_eq!((taken.accepted, taken.rejected, taken.told()), (9, 1, Told::Ok));
        let message = taken.message();
        for part in ["1 record was rejected", "record 3: ", "2 records were refused", "no mapping"] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(Taken::default().message(), "");
    }

    #[test]
    fn a_request_of_which_nothing_was_taken_is_told_so() {
        let settled = Settled { rejected: 4, rejected_items: vec![0, 1, 2, 3], ..Settled::default() };
        assert_eq!(Taken::new(4, Rejected::default(), settled).unwrap().told(), Told::Rejected);
        assert_eq!(Taken::default().told(), Told::Ok, "an empty request is a success");
    }

    #[test]
    fn what_one_of_two_sinks_has_stored_was_taken() {
        let settled = Settled { delivered: 2, rejected: 2, rejected_items: vec![0, 1], ..Settled::default() };
        let taken = Taken::new(2, Rejected::default(), settled).unwrap();
        assert_eq!((taken.accepted, taken.rejected, taken.told()), (0, 2, Told::Ok));
    }

    #[test]
    fn what_would_not_fit_into_empty_memory_either_is_not_to_be_tried_again() {
        let exhausted = |total| Exhausted { wanted: 10, total, used: 95, limit: 100 };
        for (total, kind) in [(100, Kind::Busy), (101, Kind::TooLarge)] {
            assert_eq!(Fault::from(exhausted(total)).kind, kind);
            assert_eq!(Fault::from(Refusal::Exhausted(exhausted(total))).kind, kind);
        }
        let fault = Fault::from(Refusal::Malformed(Malformed::TooLarge { bytes: 101, limit: 100 }));
        assert_eq!(fault.kind, Kind::TooLarge);
    }

    #[test]
    fn limits_on_records_are_too_large_and_long_texts_are_cut() {
        let fault = Fault::from(Refusal::Malformed(Malformed::TooManyRecords { limit: 5 }));
        assert_eq!(fault.kind, Kind::TooLarge);
        let fault = Fault::new(Kind::Busy, "ü".repeat(4000));
        assert!(fault.message.len() <= MAX_MESSAGE_BYTES && fault.message.ends_with("ü..."));
    }
}
