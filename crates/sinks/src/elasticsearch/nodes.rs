//! The nodes of a cluster: requests go to them in turn, and one that cannot be reached rests.

use bytes::{Bytes, BytesMut};
use elasticsearch::auth::Credentials;
use elasticsearch::http::headers::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use elasticsearch::http::{StatusCode, Url};
use parking_lot::Mutex;
use reqwest::{Client, Method, RequestBuilder, Response};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

/// How long a node rests after its first failure to connect; doubled by each further one.
const FIRST_REST: Duration = Duration::from_millis(250);
/// The longest rest. Short, because it also delays the first success after a cluster came back.
const LONGEST_REST: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read, and as many more for each record. A filtered one has some 30 bytes per document, some 300 for each
/// that was refused.
const MAX_ANSWER: usize = 1 << 20;
const MAX_ANSWER_PER_RECORD: usize = 4 << 10;

/// A request.
pub(super) struct Call<'c> {
    pub(super) method: Method,
    pub(super) path: &'c str,
    pub(super) headers: HeaderMap,
    pub(super) query: &'c [(&'static str, &'static str)],
    /// Records that the answer speaks of.
    pub(super) records: u32,
}

impl Call<'_> {
    /// Bytes that the answer may have.
    fn max_answer(&self) -> usize {
        MAX_ANSWER.saturating_add(MAX_ANSWER_PER_RECORD.saturating_mul(self.records as usize))
    }
}

/// What a server said, whatever it said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

/// No answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// When a node will have rested.
    pub(super) after: Option<Duration>,
    pub(super) timeout: bool,
}

/// The nodes and whose turn it is.
pub(super) struct Nodes {
    nodes: Vec<Node>,
    turn: AtomicUsize,
    /// Speaks to all of them. Not the one of the `elasticsearch` crate, which reads an answer however long it is.
    client: Client,
    credentials: Option<Credentials>,
    timeout: Duration,
}

impl fmt::Debug for Nodes {
    /// Without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nodes").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Node {
    endpoint: String,
    /// With a slash at the end.
    base: Url,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    /// Failures to connect since the last answer.
    failures: u32,
    rests_until: Option<Instant>,
}

impl Health {
    fn rest(&self, now: Instant) -> Duration {
        self.rests_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn failed(&mut self, now: Instant) {
        let rest = FIRST_REST.saturating_mul(1 << self.failures.min(16)).min(LONGEST_REST);
        self.failures += 1;
        self.rests_until = Some(now + rest);
    }
}

impl Nodes {
    /// Nodes by their endpoints. `timeout` is for one request, its answer included.
    pub(super) fn new(
        endpoints: Vec<(String, Url)>,
        client: Client,
        credentials: Option<Credentials>,
        timeout: Duration,
    ) -> Self {
        let nodes = endpoints.into_iter().map(|(endpoint, base)| Node::new(endpoint, base)).collect();
        Self { nodes, turn: AtomicUsize::new(0), client, credentials, timeout }
    }

    /// Sends one request to the next node that is not resting.
    pub(super) async fn send(&self, call: Call<'_>, body: Bytes) -> Result<Answer, Failure> {
        let node = self.next(Instant::now())?;
        let limit = call.max_answer();
        let Some(url) = node.url(call.path) else {
            let reason = format!("{}: {:?} is no path there", node.endpoint, call.path);
            return Err(Failure { reason, after: None, timeout: false });
        };
        let request = self.authorized(self.client.request(call.method, url));
        let request = request.headers(call.headers).query(call.query).timeout(self.timeout).body(body);
        match request.send().await {
            Ok(response) => {
                *node.health.lock() = Health::default();
                node.read(response, limit).await
            }
            Err(error) => {
                let failure = node.failure(&error);
                // A node that is slow is not down; to let it rest would put its load on the others.
                if !failure.timeout {
                    node.health.lock().failed(Instant::now());
                }
                Err(failure)
            }
        }
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credentials {
            Some(Credentials::Basic(user, password)) => request.basic_auth(user, Some(password)),
            Some(Credentials::EncodedApiKey(key)) => match HeaderValue::try_from(format!("ApiKey {key}")) {
                Ok(mut value) => {
                    value.set_sensitive(true);
                    request.header(AUTHORIZATION, value)
                }
                // The settings' check has found that it can be one.
                Err(_) => request,
            },
            // Others cannot be configured.
            _ => request,
        }
    }

    fn next(&self, now: Instant) -> Result<&Node, Failure> {
        let first = self.turn.fetch_add(1, Relaxed);
        let mut shortest = LONGEST_REST;
        for step in 0..self.nodes.len() {
            let node = &self.nodes[first.wrapping_add(step) % self.nodes.len()];
            let rest = node.health.lock().rest(now);
            if rest.is_zero() {
                return Ok(node);
            }
            shortest = shortest.min(rest);
        }
        let reason = "no endpoint can be reached".to_owned();
        Err(Failure { reason, after: Some(shortest), timeout: false })
    }
}

impl Node {
    fn new(endpoint: String, mut base: Url) -> Self {
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Self { endpoint, base, health: Mutex::default() }
    }

    /// The address of a path under the endpoint's own.
    fn url(&self, path: &str) -> Option<Url> {
        self.base.join(path.trim_start_matches('/')).ok()
    }

    /// Reads an answer of at most `limit` bytes.
    async fn read(&self, mut response: Response, limit: usize) -> Result<Answer, Failure> {
        let status = response.status();
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
        let promised = usize::try_from(response.content_length().unwrap_or_default()).unwrap_or(usize::MAX);
        if promised > limit {
            return Err(self.too_long(limit));
        }
        let mut body = BytesMut::with_capacity(promised);
        while let Some(piece) = response.chunk().await.map_err(|error| self.failure(&error))? {
            if body.len() + piece.len() > limit {
                return Err(self.too_long(limit));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer { status, retry_after, body: body.freeze() })
    }

    fn too_long(&self, limit: usize) -> Failure {
        let reason = format!("{}: the answer is longer than {limit} bytes", self.endpoint);
        Failure { reason, after: None, timeout: false }
    }

    fn failure(&self, error: &reqwest::Error) -> Failure {
        Failure {
            reason: format!("{}: {}", self.endpoint, chain(error)),
            after: None,
            timeout: error.is_timeout(),
        }
    }
}

/// An error with its causes; the outer ones of the HTTP client alone do not say what happened.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    text
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds or a date.
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(SystemTime::from(date.timestamp()).duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn nodes(count: usize) -> Nodes {
        let endpoint = |n: usize| {
            // Port 9 of the discard service: nothing listens there.
            (n.to_string(), Url::parse(&format!("http://127.0.0.{}:9", n + 1)).unwrap())
        };
        let client = Client::builder().no_proxy().build().unwrap();
        Nodes::new((0..count).map(endpoint).collect(), client, None, Duration::from_secs(5))
    }

    fn get<'c>() -> Call<'c> {
        Call { method: Method::GET, path: "/", headers: HeaderMap::new(), query: &[], records: 0 }
    }

    #[test]
    fn nodes_take_turns_and_those_that_rest_are_passed_over() {
        let nodes = nodes(3);
        let now = Instant::now();
        let turns = || nodes.next(now).map(|node| node.endpoint.clone()).map_err(|failure| failure.after);
        assert_eq!(
            [turns(), turns(), turns(), turns()],
            ["0", "1", "2", "0"].map(|name| Ok(name.to_owned()))
        );
        nodes.nodes[1].health.lock().failed(now);
        assert_eq!([turns(), turns(), turns()], ["2", "2", "0"].map(|name| Ok(name.to_owned())));
        nodes.nodes[0].health.lock().failed(now);
        nodes.nodes[2].health.lock().failed(now);
        nodes.nodes[2].health.lock().failed(now);
        assert_eq!(turns(), Err(Some(FIRST_REST)));
        assert_eq!(nodes.next(now + FIRST_REST).unwrap().endpoint, "0");
    }

    #[test]
    fn rests_double_up_to_a_limit() {
        let (mut health, now) = (Health::default(), Instant::now());
        let mut rests = Vec::new();
        for _ in 0..40 {
            health.failed(now);
            rests.push(health.rest(now));
        }
        assert_eq!(rests[..3], [FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST]);
        assert_eq!(rests[39], LONGEST_REST);
    }

    #[tokio::test]
    async fn a_node_that_refuses_connections_rests() {
        let nodes = nodes(1);
        let failure = nodes.send(get(), Bytes::new()).await.unwrap_err();
        assert!(failure.reason.to_lowercase().contains("refused"), "{}", failure.reason);
        assert!(!failure.timeout);
        let failure = nodes.send(get(), Bytes::new()).await.unwrap_err();
        assert!(failure.after.is_some_and(|after| after <= FIRST_REST));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("17"), Some(Duration::from_secs(17)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert!(retry_after("Wed, 01 Jan 2200 00:00:00 GMT").unwrap() > Duration::from_secs(86_400));
        assert_eq!(retry_after("soon"), None);
    }
}
