//! JSON logs over HTTP: one object, an array of objects, or one object a line.

use super::answer::{Fault, Kind, Taken};
use super::auth::AuthConfig;
use super::caller::Caller;
use super::endpoint::{Bounds, Coding, Endpoint, Visit};
use super::handler::Handler;
use super::house::House;
use super::listener::ConnectionConfig;
use super::otlp_http::media_type;
use super::ports::Port;
use super::reply::{Reply, http as answer, http_fault};
use super::tls::TlsConfig;
use bytes::Bytes;
use forebay_pipeline::admit::Acknowledge;
use forebay_pipeline::rules::JsonRules;
use forebay_pipeline::units::{ByteSize, Period};
use forebay_pipeline::wire::json::Format;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::SocketAddr;

const JSON: &str = "application/json";
/// Content types of one object a line, and those of bodies that say themselves what they are.
const LINES: [&str; 3] = ["application/x-ndjson", "application/jsonl", "application/ndjson"];
/// The last but one is what `curl -d` says of any data.
const ANY: [&str; 4] = [JSON, "text/plain", "application/x-www-form-urlencoded", ""];

/// JSON logs over HTTP: `POST` of one object, an array of objects, or one object a line.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JsonConfig {
    /// Address and port to listen on. In a container: `0.0.0.0:8080`. Port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The path that logs are sent to, and every path under it. `/` is every path, for clients whose path cannot be chosen.
    pub path: String,
    /// The time zone of times that name none, as in the IANA database: `UTC`, `Europe/Berlin`. For clients that write
    /// local time.
    pub timezone: String,
    /// The top-level field whose text is the document's id, so that a line sent twice is stored once. A dot is part of the
    /// name. A line without it, or in which it is no text or longer than 512 bytes (the most that Elasticsearch takes), is a document of
    /// its own: sent twice, it is stored twice. Default: every line is a document of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_field: Option<String>,
    /// What a client's answer waits for. Default: what `acknowledge` of the whole file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Acknowledge>,
    /// How long a client waits for its answer. Past it, what is not sent yet is given up and the client is told to try again.
    /// Keep it below your clients' timeouts.
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

impl Default for JsonConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            path: "/".to_owned(),
            timezone: "UTC".to_owned(),
            id_field: None,
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

impl JsonConfig {
    /// Its port.
    pub(super) fn port(&self) -> Port<'_> {
        let (tls, auth) = (self.tls.as_ref(), self.auth.as_ref());
        Port {
            receiver: super::JSON,
            path: "json",
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

    /// How it reads what it gets.
    pub(super) fn rules(&self) -> JsonRules {
        let (timezone, id_field) = (self.timezone.clone(), self.id_field.clone());
        JsonRules { timezone, id_field, ..JsonRules::default() }
    }

    /// The zone of times that name none.
    ///
    /// # Errors
    /// There is no zone of this name.
    pub(super) fn zone(&self) -> Result<TimeZone, String> {
        TimeZone::get(&self.timezone).map_err(|_| format!("there is no time zone `{}`", self.timezone))
    }
}

/// Answers requests on the JSON port.
#[derive(Debug)]
pub struct JsonHttp {
    endpoint: Endpoint,
    /// Without a slash at its end.
    path: String,
}

impl JsonHttp {
    /// A handler as `config` says.
    pub fn new(endpoint: Endpoint, config: &JsonConfig) -> Self {
        Self { endpoint, path: config.path.trim_end_matches('/').to_owned() }
    }

    async fn take<B>(&self, request: Request<B>, visit: &mut Visit<'_>) -> Result<Taken, Fault>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let accepted = accept(&self.path, request.method(), request.uri().path(), request.headers());
        let (format, coding) = accepted.map_err(|fault| fault.unread(&request))?;
        let payload = self.endpoint.read(request, coding).await?;
        visit.counted();
        let message = self.endpoint.request(payload);
        let admitted = self.endpoint.intake.admit_json(message, &self.endpoint.door, format)?;
        self.endpoint.settle(admitted, None).await
    }
}

impl House<'_> {
    /// What answers there, if there is such a receiver.
    pub fn json(&self) -> Option<JsonHttp> {
        let json = self.config.json.as_ref()?;
        Some(JsonHttp::new(self.endpoint(super::JSON, json.bounds(self.acknowledge)), json))
    }
}

impl Handler for JsonHttp {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn refuse(&self, _: &Request<()>, fault: &Fault) -> Response<Reply> {
        failure(fault)
    }

    async fn handle(&self, request: Request<Incoming>, caller: Caller) -> Response<Reply> {
        let mut visit = self.endpoint.visit(caller.as_deref());
        let outcome = self.take(request, &mut visit).await;
        visit.close(&outcome);
        match outcome {
            Ok(taken) if taken.nothing_taken() => {
                answer(StatusCode::BAD_REQUEST, JSON, report(&taken, Some("no record could be taken")))
            }
            Ok(taken) => answer(StatusCode::OK, JSON, report(&taken, None)),
            Err(fault) => failure(&fault),
        }
    }
}

/// Everything that can be said before the body is read.
fn accept(prefix: &str, method: &Method, path: &str, headers: &HeaderMap) -> Result<(Format, Coding), Fault> {
    if !path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Err(Fault::new(Kind::Unknown, format!("nothing is here: logs go to {prefix}")));
    }
    if method != Method::POST {
        return Err(Fault::new(Kind::Method, "logs are sent with POST"));
    }
    let media_type = media_type(headers);
    let is = |name: &&str| media_type.eq_ignore_ascii_case(name.as_bytes());
    let format = if LINES.iter().any(is) {
        Format::Lines
    } else if ANY.iter().any(is) {
        Format::Auto
    } else {
        return Err(Fault::new(
            Kind::MediaType,
            "Content-Type must be application/json or application/x-ndjson",
        ));
    };
    Ok((format, Coding::of_http(headers)?))
}

fn failure(fault: &Fault) -> Response<Reply> {
    http_fault(fault, JSON, report(&Taken::default(), Some(&fault.message)))
}

/// The answer's body: what became of the records, and of the request if it was not taken.
fn report(taken: &Taken, error: Option<&str>) -> Bytes {
    let reasons = taken.reasons.iter();
    let mut errors: Vec<Value> =
        reasons.map(|(line, reason)| json!({ "line": line, "reason": reason.to_string() })).collect();
    if let Some(reason) = &taken.sink_reason {
        errors.push(json!({ "reason": reason }));
    }
    let mut report = json!({
        "accepted": taken.accepted,
        "rejected": taken.rejected,
        "errors": errors,
        "dead_lettered": taken.dead_lettered,
    });
    if let Some(error) = error {
        report["error"] = error.into();
    }
    report.to_string().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use forebay_pipeline::wire::Malformed;
    use http::HeaderValue;
    use http::header::CONTENT_TYPE;

    #[test]
    fn the_content_type_decides_between_lines_and_whatever_it_is() {
        let head =
            |text: &'static str| HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(text))]);
        let format = |headers: &HeaderMap| accept("", &Method::POST, "/", headers).map(|(format, _)| format);
        for text in ["application/json; charset=utf-8", "text/plain", "APPLICATION/JSON"] {
            assert_eq!(format(&head(text)).unwrap(), Format::Auto, "{text}");
        }
        assert_eq!(format(&HeaderMap::new()).unwrap(), Format::Auto);
        for text in ["application/x-ndjson", "application/jsonl"] {
            assert_eq!(format(&head(text)).unwrap(), Format::Lines, "{text}");
        }
        assert_eq!(format(&head("application/xml")).unwrap_err().kind, Kind::MediaType);
    }

    #[test]
    fn a_path_is_taken_with_everything_under_it() {
        let accepted = |prefix, path| accept(prefix, &Method::POST, path, &HeaderMap::new()).is_ok();
        assert!(accepted("", "/") && accepted("", "/any/path"));
        assert!(accepted("/logs", "/logs") && accepted("/logs", "/logs/app"));
        assert!(!accepted("/logs", "/") && !accepted("/logs", "/logsapp"));
        let fault = accept("", &Method::GET, "/", &HeaderMap::new()).unwrap_err();
        assert_eq!(fault.kind, Kind::Method);
    }

    #[test]
    fn the_report_names_lines_and_reasons() {
        let taken = Taken {
            anything_stored: true,
            accepted: 4,
            rejected: 1,
            dead_lettered: 2,
            reasons: vec![(3, Malformed::NotAnObject { record: 3 })],
            refused: Vec::new(),
            sink_reason: Some("no mapping".to_owned()),
        };
        let report: Value = serde_json::from_slice(&report(&taken, None)).unwrap();
        assert_eq!(
            report,
            json!({"accepted": 4, "rejected": 1, "dead_lettered": 2, "errors": [
                {"line": 3, "reason": "record 3 is not a JSON object"}, {"reason": "no mapping"}]})
        );
    }
}
