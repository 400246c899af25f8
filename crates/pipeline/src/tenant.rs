//! Tenants: whose records they are, what became of them at the door, and how fast they may come.
//!
//! A quota is a token bucket that may go into debt: how much a request holds is known when it has been read, and then it is taken whole. Whoever
//! is in debt is turned away before anything of the next request is read, until time has paid for it. So a tenant's rate is exact over time,
//! and one request may be larger than what was saved.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// The longest wait that is told (a debt of years may come of one large request).
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 86_400);

/// How fast a tenant may send.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quota {
    /// Records per second; `None` for any number.
    pub events_per_second: Option<u64>,
    /// Bytes of bodies per second, not compressed; `None` for any number.
    pub bytes_per_second: Option<u64>,
    /// For so long at this rate a tenant may send at once that has been silent.
    pub burst: Duration,
}

/// What a tenant's requests had in them, by what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub admitted: u64,
    /// Records refused for good.
    pub rejected: u64,
    /// Records that were read and are to be sent again.
    pub refused: u64,
    /// Bytes of bodies, not compressed.
    pub bytes: u64,
    /// Requests turned away because the quota was used up.
    pub over_quota: u64,
}

/// One tenant. All receivers share it.
#[derive(Debug)]
pub struct Tenant {
    pub name: Arc<str>,
    buckets: Mutex<Buckets>,
    admitted: AtomicU64,
    rejected: AtomicU64,
    refused: AtomicU64,
    bytes: AtomicU64,
    over_quota: AtomicU64,
}

#[derive(Debug)]
struct Buckets {
    quota: Quota,
    events: Option<Bucket>,
    bytes: Option<Bucket>,
}

impl Tenant {
    /// A tenant that has been silent so far.
    pub fn new(name: Arc<str>, quota: Quota) -> Self {
        let now = Instant::now();
        let bucket = |rate: Option<u64>| rate.map(|rate| Bucket::full(rate, quota.burst, now));
        let (events, bytes) = (bucket(quota.events_per_second), bucket(quota.bytes_per_second));
        Self {
            name,
            buckets: Mutex::new(Buckets { quota, events, bytes }),
            admitted: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            over_quota: AtomicU64::new(0),
        }
    }

    /// Goes by this quota from now on. A debt stays, and is paid at the new rate.
    pub fn change(&self, quota: Quota) {
        let mut buckets = self.buckets.lock();
        if buckets.quota == quota {
            return;
        }
        let now = Instant::now();
        buckets.quota = quota;
        adapt(&mut buckets.events, quota.events_per_second, quota.burst, now);
        adapt(&mut buckets.bytes, quota.bytes_per_second, quota.burst, now);
    }

    /// How long it has to wait before it may send again; `None` if it need not.
    pub fn wait(&self) -> Option<Duration> {
        let mut buckets = self.buckets.lock();
        let Buckets { events, bytes, .. } = &mut *buckets;
        let both = [events, bytes].into_iter().flatten();
        let now = Instant::now();
        both.filter_map(|bucket| bucket.wait(now)).max()
    }

    /// So many bytes of it were read.
    pub fn charge_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
        if let Some(bucket) = &mut self.buckets.lock().bytes {
            bucket.take(bytes, Instant::now());
        }
    }

    /// So many records of it were read.
    pub fn charge_records(&self, records: u64) {
        if let Some(bucket) = &mut self.buckets.lock().events {
            bucket.take(records, Instant::now());
        }
    }

    /// What became of the records of one request.
    pub fn count(&self, admitted: u64, rejected: u64, refused: u64) {
        self.admitted.fetch_add(admitted, Relaxed);
        self.rejected.fetch_add(rejected, Relaxed);
        self.refused.fetch_add(refused, Relaxed);
    }

    /// A request was turned away because of the quota.
    pub fn count_over_quota(&self) {
        self.over_quota.fetch_add(1, Relaxed);
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        Counts {
            admitted: self.admitted.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            refused: self.refused.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            over_quota: self.over_quota.load(Relaxed),
        }
    }
}

/// Tokens that come at a rate and are kept up to a level. They may be owed.
#[derive(Debug)]
struct Bucket {
    /// Tokens per second.
    rate: f64,
    /// Most tokens that are kept.
    most: f64,
    /// Tokens there are; fewer than none are a debt.
    level: f64,
    /// When the level was this.
    at: Instant,
}

impl Bucket {
    fn full(rate: u64, burst: Duration, now: Instant) -> Self {
        let rate = rate as f64;
        let most = rate * burst.as_secs_f64();
        Self { rate, most, level: most, at: now }
    }

    fn take(&mut self, tokens: u64, now: Instant) {
        self.fill(now);
        self.level -= tokens as f64;
    }

    fn wait(&mut self, now: Instant) -> Option<Duration> {
        self.fill(now);
        let seconds = -self.level / self.rate;
        (self.level < 0.0)
            .then(|| Duration::try_from_secs_f64(seconds).map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT)))
    }

    fn fill(&mut self, now: Instant) {
        let come = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        self.level = (self.level + come).min(self.most);
        self.at = now;
    }
}

fn adapt(bucket: &mut Option<Bucket>, rate: Option<u64>, burst: Duration, now: Instant) {
    let Some(rate) = rate else {
        *bucket = None;
        return;
    };
    let mut new = Bucket::full(rate, burst, now);
    if let Some(old) = bucket {
        old.fill(now);
        new.level = old.level.min(new.most);
    }
    *bucket = Some(new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    fn tenant(events: Option<u64>, bytes: Option<u64>) -> Tenant {
        let quota = Quota { events_per_second: events, bytes_per_second: bytes, burst: 2 * SECOND };
        Tenant::new("acme".into(), quota)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_saved_may_be_sent_at_once_and_what_is_owed_is_waited_for() {
        let tenant = tenant(Some(100), None);
        tenant.charge_records(200);
        assert_eq!(tenant.wait(), None, "two seconds were saved");
        tenant.charge_records(50);
        assert_eq!(tenant.wait(), Some(SECOND / 2));
        advance(SECOND / 4).await;
        assert_eq!(tenant.wait(), Some(SECOND / 4));
        advance(SECOND / 4).await;
        assert_eq!(tenant.wait(), None);
        // A day's silence saves no more than the burst.
        advance(86_400 * SECOND).await;
        tenant.charge_records(300);
        assert_eq!(tenant.wait(), Some(SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_larger_than_the_burst_is_taken_and_paid_for() {
        let tenant = tenant(Some(10), None);
        tenant.charge_records(1_020);
        assert_eq!(tenant.wait(), Some(100 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn over_time_the_rate_is_the_quota_however_greedy_the_tenant_is() {
        let tenant = tenant(Some(1_000), None);
        let mut taken = 0;
        for _ in 0..100_000 {
            if tenant.wait().is_none() {
                tenant.charge_records(37);
                taken += 37;
            }
            advance(Duration::from_millis(1)).await;
        }
        // A hundred seconds, two of burst, and one request too many at most.
        assert!((101_900..=102_037).contains(&taken), "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_longer_wait_of_both_rates_counts() {
        let tenant = tenant(Some(10), Some(1_000));
        tenant.charge_records(30);
        tenant.charge_bytes(5_000);
        assert_eq!(tenant.wait(), Some(3 * SECOND));
        advance(3 * SECOND).await;
        assert_eq!(tenant.wait(), None);
        tenant.charge_records(100);
        assert_eq!(tenant.wait(), Some(10 * SECOND - 2 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_quota_nobody_waits_and_all_is_counted() {
        let tenant = tenant(None, None);
        tenant.charge_records(u64::MAX);
        tenant.charge_bytes(7);
        tenant.count(5, 1, 2);
        tenant.count_over_quota();
        assert_eq!(tenant.wait(), None);
        let counts = Counts { admitted: 5, rejected: 1, refused: 2, bytes: 7, over_quota: 1 };
        assert_eq!(tenant.counts(), counts);
    }

    #[tokio::test(start_paused = true)]
    async fn a_debt_survives_a_change_of_the_quota_and_is_paid_at_the_new_rate() {
        let tenant = tenant(Some(10), None);
        tenant.charge_records(120);
        assert_eq!(tenant.wait(), Some(10 * SECOND));
        let quota = |events| Quota { events_per_second: events, bytes_per_second: None, burst: SECOND };
        tenant.change(quota(Some(100)));
        assert_eq!(tenant.wait(), Some(SECOND));
        tenant.change(quota(Some(100)));
        assert_eq!(tenant.wait(), Some(SECOND), "nothing has changed");
        tenant.change(quota(None));
        assert_eq!(tenant.wait(), None);
        tenant.change(quota(Some(1)));
        assert_eq!(tenant.wait(), None, "what was not measured is not owed");
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_debt_is_still_a_time() {
        let tenant = tenant(Some(1), None);
        tenant.charge_records(u64::MAX);
        assert_eq!(tenant.wait(), Some(LONGEST_WAIT));
    }
}
