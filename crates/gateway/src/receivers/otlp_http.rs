//! OTLP over HTTP (OTLP specification, "OTLP/HTTP"), in protobuf or in JSON.

use super::OTLP_HTTP;
use super::answer::{Fault, Kind, Taken};
use super::caller::Caller;
use super::endpoint::{Coding, Endpoint, Visit};
use super::handler::Handler;
use super::house::House;
use super::otlp;
use super::reply::{Reply, http as answer, http_fault};
use super::status;
use bytes::Bytes;
use forebay_pipeline::Signal;
use forebay_pipeline::admit::OtlpIds;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;

/// The path of each signal, by its number.
const PATHS: [&str; Signal::ALL.len()] = ["/v1/logs", "/v1/traces", "/v1/metrics"];
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Answers requests on the OTLP/HTTP port.
#[derive(Debug)]
pub struct OtlpHttp {
    pub endpoint: Endpoint,
    pub ids: OtlpIds,
}

impl House<'_> {
    /// What answers there, if there is such a receiver.
    pub fn otlp_http(&self) -> Option<OtlpHttp> {
        let otlp = self.config.otlp.as_ref().filter(|otlp| otlp.http.is_some())?;
        let endpoint = self.endpoint(OTLP_HTTP, otlp.bounds(self.acknowledge));
        Some(OtlpHttp { endpoint, ids: otlp.ids })
    }
}

impl Handler for OtlpHttp {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn refuse(&self, head: &Request<()>, fault: &Fault) -> Response<Reply> {
        failure(fault, wants_json(head))
    }

    async fn handle(&self, request: Request<Incoming>, caller: Caller) -> Response<Reply> {
        let wants_json = wants_json(&request);
        let signal = signal_at(request.uri().path()).ok();
        let mut visit = self.endpoint.visit(caller.as_deref());
        let outcome = self.export(request, &mut visit).await;
        visit.close(&outcome);
        match outcome {
            Ok(taken) if wants_json => {
                // What was taken came by one of the paths.
                answer(StatusCode::OK, JSON, otlp::json_response(signal.unwrap_or_default(), &taken))
            }
            Ok(taken) => answer(StatusCode::OK, PROTOBUF, otlp::response(&taken)),
            Err(fault) => failure(&fault, wants_json),
        }
    }
}

impl OtlpHttp {
    async fn export<B>(&self, request: Request<B>, visit: &mut Visit<'_>) -> Result<Taken, Fault>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let is_json = wants_json(&request);
        let (signal, coding) = self.accept(&request).map_err(|fault| fault.unread(&request))?;
        let payload = self.endpoint.read(request, coding).await?;
        visit.counted();
        let message = self.endpoint.request(payload);
        let (intake, door) = (&self.endpoint.intake, &self.endpoint.door);
        let admitted = match is_json {
            true => intake.admit_otlp_json(signal, message, door, self.ids)?,
            false => intake.admit_otlp(signal, message, door, self.ids)?,
        };
        self.endpoint.settle(admitted, None).await
    }

    /// Everything that can be said before the body is read.
    fn accept<B>(&self, request: &Request<B>) -> Result<(Signal, Coding), Fault> {
        let signal = signal_at(request.uri().path())?;
        if !self.endpoint.intake.rules().takes(signal) {
            return Err(Fault::new(Kind::Unknown, otlp::unrouted(signal)));
        }
        Ok((signal, accept(request.method(), request.headers())?))
    }
}

/// Whether the client writes JSON, and so reads it.
fn wants_json<B>(request: &Request<B>) -> bool {
    media_type(request.headers()).eq_ignore_ascii_case(JSON.as_bytes())
}

fn failure(fault: &Fault, wants_json: bool) -> Response<Reply> {
    match wants_json {
        true => http_fault(fault, JSON, status::json(fault)),
        false => http_fault(fault, PROTOBUF, status::protobuf(fault)),
    }
}

/// What is taken at this path.
fn signal_at(path: &str) -> Result<Signal, Fault> {
    let found = Signal::ALL.into_iter().find(|signal| PATHS[*signal as usize] == path);
    found.ok_or_else(|| match path.starts_with("/v1development/profiles") {
        true => Fault::new(Kind::Unknown, otlp::PROFILES),
        false => Fault::new(Kind::Unknown, format!("nothing is here: OTLP goes to {}", PATHS.join(", "))),
    })
}

/// What the head says of the body.
fn accept(method: &Method, headers: &HeaderMap) -> Result<Coding, Fault> {
    if method != Method::POST {
        return Err(Fault::new(Kind::Method, "OTLP is sent with POST"));
    }
    let media_type = media_type(headers);
    if ![PROTOBUF, JSON].iter().any(|known| media_type.eq_ignore_ascii_case(known.as_bytes())) {
        return Err(Fault::new(Kind::MediaType, format!("Content-Type must be {PROTOBUF} or {JSON}")));
    }
    Coding::of_http(headers)
}

/// The media type without its parameters.
pub fn media_type(headers: &HeaderMap) -> &[u8] {
    let value = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_no_request_of_otlp_is_refused_by_its_head() {
        let head = |media_type: &'static str, coding: &'static str| {
            HeaderMap::from_iter([
                (CONTENT_TYPE, HeaderValue::from_static(media_type)),
                (http::header::CONTENT_ENCODING, HeaderValue::from_static(coding)),
            ])
        };
        let good = head("Application/X-Protobuf; charset=x", "GZIP");
        assert_eq!(accept(&Method::POST, &good).unwrap(), Coding::Gzip);
        let several = |codings: &[&'static str]| {
            let mut headers = head(PROTOBUF, codings[0]);
            for coding in &codings[1..] {
                headers.append(http::header::CONTENT_ENCODING, HeaderValue::from_static(coding));
            }
            headers
        };
        let plain = accept(&Method::POST, &several(&["identity", "", "identity"])).unwrap();
        assert_eq!(plain, Coding::Identity, "to change nothing may be said often");
        let cases = [
            (Method::POST, several(&["gzip", "gzip"]), Kind::Encoding),
            (Method::POST, several(&["identity", "gzip"]), Kind::Encoding),
            (Method::PUT, good, Kind::Method),
            (Method::POST, head("text/plain", "gzip"), Kind::MediaType),
            (Method::POST, HeaderMap::new(), Kind::MediaType),
            (Method::POST, head(PROTOBUF, "br"), Kind::Encoding),
            (Method::POST, head(PROTOBUF, "gzip, gzip"), Kind::Encoding),
        ];
        for (method, headers, kind) in cases {
            assert_eq!(accept(&method, &headers).unwrap_err().kind, kind, "{method} {headers:?}");
        }
        assert_eq!(Signal::ALL.map(|signal| signal_at(PATHS[signal as usize]).unwrap()), Signal::ALL);
        for path in ["/", "/v1/logs/", "/v1/trace", "/v1development/profiles"] {
            assert_eq!(signal_at(path).unwrap_err().kind, Kind::Unknown, "{path}");
        }
    }
}
