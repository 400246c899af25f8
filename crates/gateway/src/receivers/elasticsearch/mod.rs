//! An endpoint that agents and clients of Elasticsearch take for one: `_bulk`, and what they ask before they ship.
//!
//! It needs no Elasticsearch to answer, so that agents start and ship while the real one is down. Nothing is kept but documents: `calls` says
//! how set-up is answered, `bulk` what becomes of items.

mod bulk;
mod calls;
mod errors;
mod filter;

use super::ELASTICSEARCH;
use super::answer::{Fault, Kind, Taken};
use super::auth::AuthConfig;
use super::caller::Caller;
use super::endpoint::{Bounds, Coding, Endpoint, Visit};
use super::handler::Handler;
use super::house::House;
use super::listener::ConnectionConfig;
use super::otlp_http::media_type;
use super::ports::Port;
use super::read::Chunks;
use super::reply::{Reply, http as answer, http_fault};
use super::tls::TlsConfig;
use bytes::Bytes;
use calls::{Call, Reading};
use filter::Filter;
use forebay_pipeline::admit::{Acknowledge, BulkItems};
use forebay_pipeline::rules::JsonRules;
use forebay_pipeline::units::{ByteSize, Period};
use http::header::{ACCEPT, ALLOW, CONNECTION, HOST, WARNING};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::time::Instant;

const JSON: &str = "application/json";
/// The same in versions of the interface; a client gets that which it asks for.
const VERSIONED: [(&str, &str); 3] = [
    ("compatible-with=7", "application/vnd.elasticsearch+json;compatible-with=7"),
    ("compatible-with=8", "application/vnd.elasticsearch+json;compatible-with=8"),
    ("compatible-with=9", "application/vnd.elasticsearch+json;compatible-with=9"),
];
/// Content types of a bulk, as Elasticsearch takes them.
const BULKS: [&str; 4] = [
    "application/x-ndjson",
    JSON,
    "application/vnd.elasticsearch+x-ndjson",
    "application/vnd.elasticsearch+json",
];
/// Clients speak to nobody who does not say so.
const PRODUCT: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-elastic-product"), HeaderValue::from_static("Elasticsearch"));
/// What accompanies the answer to set-up. Clients log it.
const NOT_KEPT: &str = "299 Forebay \"not kept: Forebay sets up its own indices, and has no others\"";

/// `_bulk` of Elasticsearch, and what agents ask before they use it: for Filebeat's and Logstash's Elasticsearch outputs, Fluentd, Fluent Bit
/// and the official clients.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ElasticsearchConfig {
    /// Address and port to listen on. In a container: `0.0.0.0:9200`. Port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The version of Elasticsearch that clients are told. Some refuse one that is older than they are: raise it for them.
    pub version: String,
    /// Whether the index that a client names is kept in the document, as `@metadata._index`. Routes can ask for it in any case.
    pub keep_index: bool,
    /// The time zone of times that name none, as in the IANA database: `UTC`, `Europe/Berlin`.
    pub timezone: String,
    /// What a client's answer waits for. Default: what `acknowledge` of the whole file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Acknowledge>,
    /// How long a client waits for its answer. Past it, what is not sent yet is given up and the client is told to try again.
    /// Keep it below your clients' timeouts (10s in the official ones).
    pub ack_timeout: Period,
    /// How long the body of one request may take to arrive. Past it, or after 10 to 20 seconds without a byte, the client
    /// is told to try again. Raise it for clients on slow lines.
    pub body_timeout: Period,
    /// Largest request, before and after decompression. A larger one is refused for good. At most 1GiB.
    pub max_request_bytes: ByteSize,
    /// Bounds on its connections.
    pub connections: ConnectionConfig,
    /// TLS. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// Who may send. Default: everybody who can reach the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthConfig>,
}

impl Default for ElasticsearchConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9200)),
            version: "8.19.0".to_owned(),
            keep_index: false,
            timezone: "UTC".to_owned(),
            acknowledge: None,
            ack_timeout: Period::secs(8),
            body_timeout: Period::secs(30),
            max_request_bytes: ByteSize::mib(64),
            connections: ConnectionConfig::default(),
            tls: None,
            auth: None,
        }
    }
}

impl ElasticsearchConfig {
    /// Its port.
    pub(super) fn port(&self) -> Port<'_> {
        let (tls, auth) = (self.tls.as_ref(), self.auth.as_ref());
        Port {
            receiver: ELASTICSEARCH,
            path: "elasticsearch",
            listen: self.listen,
            connections: &self.connections,
            tls,
            auth,
        }
    }

    pub(super) fn bounds(&self, acknowledge: Acknowledge) -> Bounds {
        Bounds {
            acknowledge: self.acknowledge.unwrap_or(acknowledge),
            max_bytes: self.max_request_bytes.as_usize(),
            body_timeout: self.body_timeout.0,
            ack_timeout: self.ack_timeout.0,
        }
    }

    /// How it reads documents.
    pub(super) fn rules(&self) -> JsonRules {
        let Self { timezone, keep_index, .. } = self;
        JsonRules { timezone: timezone.clone(), keep_index: *keep_index, ..JsonRules::default() }
    }

    /// The zone of times that name none.
    ///
    /// # Errors
    /// There is no zone of this name.
    pub(super) fn zone(&self) -> Result<TimeZone, String> {
        TimeZone::get(&self.timezone).map_err(|_| format!("there is no time zone `{}`", self.timezone))
    }

    /// Whether `version` reads like one: clients fail on another text in ways of their own.
    pub(super) fn has_version(&self) -> bool {
        let numbers: Vec<&str> = self.version.split('.').collect();
        numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u16>().is_ok())
    }
}

/// Answers requests on the Elasticsearch port.
#[derive(Debug)]
pub struct Elasticsearch {
    endpoint: Endpoint,
    version: String,
}

/// What a request says beside its body, once that has been given away.
struct Head {
    method_and_path: String,
    host: String,
    answer_type: &'static str,
    filter: Filter,
    pipeline: Option<String>,
    caller: Caller,
}

impl Head {
    fn of<B>(request: &Request<B>, caller: Caller) -> Self {
        let mut head = Self {
            method_and_path: format!("[{}] and method [{}]", request.uri().path(), request.method()),
            host: host(request),
            answer_type: answer_type(request.headers()),
            filter: Filter::default(),
            pipeline: None,
            caller,
        };
        for (name, value) in form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
            match &*name {
                "filter_path" => head.filter = Filter::parse(&value),
                "pipeline" => head.pipeline = Some(value.into_owned()),
                _ => {}
            }
        }
        head
    }

    fn answer(&self, status: StatusCode, body: Value) -> Response<Reply> {
        answer(status, self.answer_type, self.filter.apply(body).to_string().into())
    }

    /// A refusal. Elasticsearch filters these as well, which leaves nothing of them; whoever reads this should learn the reason.
    fn refusal(&self, fault: &Fault) -> Response<Reply> {
        let (kind, status) = errors::of_fault(fault);
        let body = errors::body(kind, &fault.message, status).to_string();
        let mut response = http_fault(fault, self.answer_type, body.into());
        *response.status_mut() = status;
        response
    }
}

impl Elasticsearch {
    /// A handler as `config` says.
    pub fn new(endpoint: Endpoint, config: &ElasticsearchConfig) -> Self {
        Self { endpoint, version: config.version.clone() }
    }

    async fn bulk<B>(&self, request: Request<B>, index: Option<String>, head: &Head) -> Response<Reply>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let start = Instant::now();
        let mut visit = self.endpoint.visit(head.caller.as_deref());
        let defaults = defaults(index, head.pipeline.as_deref());
        match self.take(request, defaults.as_bytes(), &mut visit).await {
            Ok((taken, items)) => {
                let body = bulk::answer(items, &taken, start.elapsed(), &head.filter);
                visit.close(&Ok(taken));
                answer(StatusCode::OK, head.answer_type, body)
            }
            Err(fault) => {
                visit.refuse(&fault);
                head.refusal(&fault)
            }
        }
    }

    async fn take<B>(
        &self,
        request: Request<B>,
        defaults: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(Taken, BulkItems), Fault>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let coding = accept(request.headers()).map_err(|fault| fault.unread(&request))?;
        let payload = self.endpoint.read(request, coding).await?;
        visit.counted();
        let message = self.endpoint.request(payload);
        let (admitted, items) = self.endpoint.intake.admit_bulk(message, &self.endpoint.door, defaults)?;
        Ok((self.endpoint.settle(admitted, None).await?, items))
    }

    /// Answers what is no bulk. The body, if there is one, is read and forgotten.
    async fn other<B>(&self, request: Request<B>, call: Call, head: &Head) -> Response<Reply>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let is_http1 = request.version() < Version::HTTP_2;
        let mut chunks = Chunks::new(request.into_body(), self.endpoint.bounds.body_timeout);
        let most = self.endpoint.bounds.max_bytes as u64;
        while chunks.received() <= most && matches!(chunks.next().await, Ok(Some(_))) {}
        let is_last = is_http1 && !chunks.is_ended();
        let mut response = match call {
            Call::Read(reading) => head.answer(StatusCode::OK, self.reading(reading, head)),
            Call::Absent => {
                let reason = format!("nothing of this kind is kept here: {}", head.method_and_path);
                let status = StatusCode::NOT_FOUND;
                head.answer(status, errors::body("resource_not_found_exception", &reason, status))
            }
            Call::SetUp => {
                let mut response = head.answer(StatusCode::OK, calls::not_kept());
                response.headers_mut().insert(WARNING, HeaderValue::from_static(NOT_KEPT));
                response
            }
            Call::Method(allowed) => {
                let reason = format!("Incorrect HTTP method for uri {}", head.method_and_path);
                let mut response = self.refusal(Kind::Method, reason, head);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
                response
            }
            Call::Unknown | Call::Bulk { .. } => self.refusal(
                Kind::Unknown,
                format!("no handler found for uri {}", head.method_and_path),
                head,
            ),
        };
        if is_last {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn reading(&self, reading: Reading, head: &Head) -> Value {
        match reading {
            Reading::Info => calls::info(&self.version),
            Reading::License => calls::license(),
            Reading::Features => calls::features(),
            Reading::Nodes => calls::nodes(&self.version, &head.host),
            Reading::Health => calls::health(self.endpoint.has_room().is_ok()),
        }
    }

    fn refusal(&self, kind: Kind, reason: String, head: &Head) -> Response<Reply> {
        let fault = Fault::new(kind, reason);
        self.endpoint.visit(head.caller.as_deref()).refuse(&fault);
        head.refusal(&fault)
    }
}

impl House<'_> {
    /// What answers there, if there is such a receiver.
    pub fn elasticsearch(&self) -> Option<Elasticsearch> {
        let bulk = self.config.elasticsearch.as_ref()?;
        Some(Elasticsearch::new(self.endpoint(ELASTICSEARCH, bulk.bounds(self.acknowledge)), bulk))
    }
}

impl Handler for Elasticsearch {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn refuse(&self, request: &Request<()>, fault: &Fault) -> Response<Reply> {
        signed(Head::of(request, None).refusal(fault))
    }

    async fn handle(&self, request: Request<Incoming>, caller: Caller) -> Response<Reply> {
        let head = Head::of(&request, caller);
        let response = match Call::of(request.method(), request.uri().path()) {
            Call::Bulk { index } => self.bulk(request, index, &head).await,
            call => self.other(request, call, &head).await,
        };
        signed(response)
    }
}

/// With the word that clients look for.
fn signed(mut response: Response<Reply>) -> Response<Reply> {
    let (name, value) = PRODUCT;
    response.headers_mut().insert(name, value);
    response
}

/// What the address of a bulk says for all of its actions, as metadata; nothing if it says nothing.
fn defaults(index: Option<String>, pipeline: Option<&str>) -> String {
    let members = [("_index", index.as_deref()), ("pipeline", pipeline)];
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    let members: Map<String, Value> = members.collect();
    if members.is_empty() { String::new() } else { Value::Object(members).to_string() }
}

/// Everything that can be said of a bulk before its body is read.
fn accept(headers: &HeaderMap) -> Result<Coding, Fault> {
    let media_type = media_type(headers);
    if !BULKS.iter().any(|name| media_type.eq_ignore_ascii_case(name.as_bytes())) {
        let found = String::from_utf8_lossy(media_type).into_owned();
        return Err(Fault::new(Kind::MediaType, format!("Content-Type header [{found}] is not supported")));
    }
    Coding::of_http(headers)
}

/// The media type that a client wants its answer in.
fn answer_type(headers: &HeaderMap) -> &'static str {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_versioned = accept.contains("application/vnd.elasticsearch+json");
    let asked = VERSIONED.into_iter().find(|(version, _)| is_versioned && accept.contains(version));
    asked.map_or(JSON, |(_, media_type)| media_type)
}

/// The address that the client reached this by.
fn host<B>(request: &Request<B>) -> String {
    let header = || request.headers().get(HOST)?.to_str().ok().map(str::to_owned);
    request.uri().authority().map(ToString::to_string).or_else(header).unwrap_or_default()
}
