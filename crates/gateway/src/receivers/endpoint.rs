//! What all receivers do with a request: read it within bounds, wait for its receipt, and keep the door's books.

use super::answer::{Fault, Kind, Taken};
use super::buffer::Payload;
use super::caller::Identity;
use super::http_connection::NoRoom;
use super::inflate;
use super::inflate_zstd;
use super::read::Chunks;
use super::tenants::{Tenants, current};
use crate::rate_limit::RateLimited;
use bytes::Bytes;
use forebay_pipeline::admit::{Acknowledge, Admitted, Intake, Request};
use forebay_pipeline::budget::Budget;
use forebay_pipeline::ledger::{Door, Told};
use forebay_pipeline::planted;
use http_body::Body;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// A request may wait for a sink for this part of the time in which it must be answered. The rest is for what the wait was estimated too
/// short by, and for the sink itself.
const PATIENCE_PART: u32 = 32;
/// But for so long always: how long it would wait is known no better.
const LEAST_PATIENCE: Duration = Duration::from_millis(250);

/// Bounds on one request.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most bytes of one request, before and after decompression.
    pub max_bytes: usize,
    /// How long the body may take to arrive.
    pub body_timeout: Duration,
    /// How long to wait for the receipt, or for the disk.
    pub ack_timeout: Duration,
    /// What the answer waits for.
    pub acknowledge: Acknowledge,
}

/// How a payload is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Identity,
    Gzip,
    Zstd,
}

impl Coding {
    /// Reads `Content-Encoding` or `grpc-encoding`; `None` for a coding that is not understood.
    pub fn parse(name: &[u8]) -> Option<Self> {
        let name = name.trim_ascii();
        if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
            return Some(Self::Identity);
        }
        if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Self::Gzip);
        }
        name.eq_ignore_ascii_case(b"zstd").then_some(Self::Zstd)
    }

    /// The coding of an HTTP request's body.
    ///
    /// # Errors
    /// `Encoding` for one that is not understood, or several.
    pub fn of_http(headers: &http::HeaderMap) -> Result<Self, Fault> {
        let unknown =
            || Fault::new(Kind::Encoding, "Content-Encoding must be gzip, zstd or identity, and one at most");
        let mut codings = headers.get_all(http::header::CONTENT_ENCODING).iter();
        let parse = |value: &http::HeaderValue| Self::parse(value.as_bytes()).ok_or_else(unknown);
        let first = codings.next().map_or(Ok(Self::Identity), parse)?;
        // Several headers are one list (RFC 9110, 5.2): each names one more coding, one around the other.
        for other in codings {
            if (first, parse(other)?) != (Self::Identity, Self::Identity) {
                return Err(unknown());
            }
        }
        Ok(first)
    }
}

/// One receiver's door and what is behind it.
#[derive(Debug)]
pub struct Endpoint {
    pub intake: Arc<Intake>,
    pub door: Arc<Door>,
    pub bounds: Bounds,
    /// Whose its requests may be.
    pub tenants: Arc<Tenants>,
    /// The time of the drain is up: whoever still waits is told to try again.
    ending: CancellationToken,
    /// One for each kind of fault.
    warnings: [RateLimited; Kind::COUNT],
    rejected: RateLimited,
}

impl Endpoint {
    /// An endpoint that admits to `intake` and counts at `door`. When `ending` is cancelled, requests under way are refused.
    pub fn new(
        intake: Arc<Intake>,
        door: Arc<Door>,
        bounds: Bounds,
        tenants: Arc<Tenants>,
        ending: CancellationToken,
    ) -> Self {
        Self {
            intake,
            door,
            bounds,
            tenants,
            ending,
            warnings: Default::default(),
            rejected: RateLimited::default(),
        }
    }

    /// The budget that bodies are charged to.
    pub fn budget(&self) -> &Arc<Budget> {
        self.intake.budget()
    }

    /// Begins the entry of a request in the door's books. `caller` sent it, if that is known.
    pub fn visit<'v>(&'v self, caller: Option<&'v Identity>) -> Visit<'v> {
        Visit { endpoint: self, caller, told: Told::Gone, counted: false }
    }

    /// How long until the tenant of this task may send again; `None` if it may.
    pub fn quota_wait(&self) -> Option<Duration> {
        current()?.wait()
    }

    /// Turns a request away that would find no room, or whose tenant is over its quota, before any of it is read.
    ///
    /// # Errors
    /// `Busy` or `OverQuota`, to be sent again.
    pub fn has_room(&self) -> Result<(), Fault> {
        if let Some(tenant) = current()
            && let Some(wait) = tenant.wait()
        {
            return Err(Fault::over_quota(&tenant.name, wait));
        }
        let patience = (self.bounds.ack_timeout / PATIENCE_PART).max(LEAST_PATIENCE);
        Ok(self.intake.has_room(self.bounds.acknowledge, patience)?)
    }

    /// The same, and turns a request away for which its connection has no memory.
    ///
    /// # Errors
    /// `Busy` or `OverQuota`, to be sent again.
    pub fn may_enter<B>(&self, request: &http::Request<B>) -> Result<(), Fault> {
        self.has_place(request)?;
        self.has_room()
    }

    /// Turns a request away whose connection finds no room.
    ///
    /// # Errors
    /// `Busy`, to be sent again.
    pub fn has_place<B>(&self, request: &http::Request<B>) -> Result<(), Fault> {
        match request.extensions().get() {
            Some(NoRoom(exhausted)) => {
                Err(Fault::new(Kind::Busy, format!("too many connections and calls: {exhausted}")))
            }
            None => Ok(()),
        }
    }

    /// Reads a whole HTTP body and inflates it.
    ///
    /// # Errors
    /// Over a bound, cut, or not what `coding` says.
    pub async fn read<B>(&self, request: http::Request<B>, coding: Coding) -> Result<Payload, Fault>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        // A client that asks before it sends has not sent what could be forgotten.
        let asks = request.headers().contains_key(http::header::EXPECT);
        let is_http1 = request.version() < http::Version::HTTP_2;
        let may_enter = self.may_enter(&request);
        let mut chunks = Chunks::new(request.into_body(), self.bounds.body_timeout);
        let collected = match may_enter {
            Ok(()) => self.unless_ending(chunks.collect(self.budget(), self.bounds.max_bytes)).await,
            Err(fault) => Err(fault),
        };
        if matches!(&collected, Err(fault) if matches!(fault.kind, Kind::Busy | Kind::OverQuota) && !asks) {
            chunks.forget().await;
        }
        self.door.count_bytes(chunks.received());
        let is_last = is_http1 && !chunks.is_ended();
        let payload = collected.map_err(|fault| fault.ending(is_last))?;
        self.inflate(payload, coding).await
    }

    /// Reads something of a request, for as long as this process has time for it.
    ///
    /// # Errors
    /// `TooSlow`, to be sent again, or what `reading` says.
    pub async fn unless_ending<T>(
        &self,
        reading: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        tokio::select! {
            read = reading => read,
            () = self.ending.cancelled() => Err(Fault::new(Kind::TooSlow, "the gateway ends before the request is here")),
        }
    }

    /// Inflates a payload if it is compressed.
    ///
    /// # Errors
    /// Over a bound, or not what `coding` says. An empty body is neither gzip nor zstd, but some clients send it so.
    pub async fn inflate(&self, payload: Payload, coding: Coding) -> Result<Payload, Fault> {
        match coding {
            Coding::Gzip if !payload.bytes.is_empty() => {
                inflate::gzip(payload, self.budget(), self.bounds.max_bytes).await
            }
            Coding::Zstd if !payload.bytes.is_empty() => {
                inflate_zstd::zstd(payload, self.budget(), self.bounds.max_bytes).await
            }
            Coding::Gzip | Coding::Zstd | Coding::Identity => Ok(payload),
        }
    }

    /// The payload as admission takes it. It is charged to the tenant for whom this task works.
    pub fn request(&self, payload: Payload) -> Request {
        let tenant = current();
        if let Some(tenant) = &tenant {
            tenant.charge_bytes(payload.bytes.len() as u64);
        }
        Request {
            bytes: payload.bytes,
            lease: payload.lease,
            receiver: Arc::clone(&self.door.receiver),
            acknowledge: self.bounds.acknowledge,
            tenant,
        }
    }

    /// Waits until every record is settled, or all are on disk, but not past `deadline`, the ack timeout or the end of the drain. Giving up drops the
    /// receipt: what was not sent yet is abandoned, or stays in the journal.
    ///
    /// # Errors
    /// `Undelivered`, to be sent again.
    pub async fn settle(&self, admitted: Admitted, deadline: Option<Instant>) -> Result<Taken, Fault> {
        let own = Instant::now() + self.bounds.ack_timeout;
        self.settle_by(admitted, Some(deadline.map_or(own, |deadline| deadline.min(own)))).await
    }

    /// The same for a client that will not send the records again, whatever becomes of them: it takes as long as it takes, but not past the
    /// end of the drain.
    ///
    /// # Errors
    /// `Undelivered`: they are lost, or stay in the journal.
    pub async fn settle_whenever(&self, admitted: Admitted) -> Result<Taken, Fault> {
        self.settle_by(admitted, None).await
    }

    async fn settle_by(&self, admitted: Admitted, until: Option<Instant>) -> Result<Taken, Fault> {
        planted::pass("request");
        let Admitted { answer, records, rejected } = admitted;
        let settled = async {
            match until {
                Some(until) => timeout_at(until, answer.settled()).await,
                None => Ok(answer.settled().await),
            }
        };
        let settled = tokio::select! {
            settled = settled => settled,
            () = self.ending.cancelled() => {
                return Err(Fault::new(Kind::Undelivered, "the gateway ends before the records were delivered"));
            }
        };
        match settled {
            Ok(Ok(settled)) => Taken::new(records, rejected, settled),
            Ok(Err(unkept)) => Err(Fault::new(Kind::Busy, unkept.to_string())),
            Err(_) => Err(Fault::new(Kind::Undelivered, "the records were not delivered in time")),
        }
    }

    /// Logs why records were refused for good, for protocols that cannot say it to their client.
    pub fn warn_of_rejected(&self, reason: &str) {
        if let Some(suppressed) = self.rejected.permit() {
            tracing::warn!(receiver = &*self.door.receiver, reason, suppressed, "records were rejected");
        }
    }

    fn warn(&self, fault: &Fault, caller: Option<&Identity>) {
        if let Some(suppressed) = self.warnings[fault.kind as usize].permit() {
            let (receiver, caller) = (&*self.door.receiver, caller.map(tracing::field::display));
            tracing::warn!(receiver, caller, kind = ?fault.kind, reason = fault.message, suppressed, "a request was not taken");
        }
    }
}

/// One request's entry in the door's books: what its client was told, exactly once, and whether its records were counted.
/// A request whose client goes away is dropped with its visit, which then says so.
#[derive(Debug)]
pub struct Visit<'e> {
    endpoint: &'e Endpoint,
    caller: Option<&'e Identity>,
    told: Told,
    counted: bool,
}

impl Visit<'_> {
    /// Admission has counted the request's records, or the request as unread.
    pub fn counted(&mut self) {
        self.counted = true;
    }

    /// The client is told this.
    pub fn close(mut self, outcome: &Result<Taken, Fault>) {
        self.told = match outcome {
            Ok(taken) => taken.told(),
            Err(fault) => self.fault(fault),
        };
    }

    /// The same for a fault that came before admission.
    pub fn refuse(mut self, fault: &Fault) {
        self.told = self.fault(fault);
    }

    fn fault(&self, fault: &Fault) -> Told {
        self.endpoint.warn(fault, self.caller);
        if let (Kind::OverQuota, Some(tenant)) = (fault.kind, current()) {
            tenant.count_over_quota();
        }
        fault.told()
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.endpoint.door.tell(self.told);
        if !self.counted {
            self.endpoint.door.count_unread();
        }
    }
}
