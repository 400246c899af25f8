//! Clients of every port, which read an answer as their protocol says.

use crate::beats::Beat;
use crate::fluent::Fluent;
use crate::record::{Origin, Protocol};
use crate::{bulk, otlp};
use forebay_proto::collector::ExportLogsServiceResponse;
use forebay_tests::gateway::Ports;
use forebay_tests::otlp::{LogsClient, retry_info};
use prost::Message;
use std::time::Duration;
use tonic::Code;

/// Longer than the gateway's `ack_timeout`: it is to answer by itself.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a client learnt about one request.
#[derive(Debug)]
pub enum Answer {
    /// Success, but for so many records that were rejected, where the protocol has a word for it.
    Taken { rejected: Option<u64> },
    /// To be sent again, after a while if the answer named one.
    Again(Option<Duration>),
    /// Nobody answered: it may have been taken.
    Nothing,
    /// Never to be sent again; or an answer that breaks the protocol.
    Never(String),
}

/// A client with a connection of its own.
pub struct Client {
    origin: Origin,
    wire: Wire,
}

enum Wire {
    Grpc(Box<LogsClient>),
    Http { address: String, agent: ureq::Agent },
    Beats(Beat),
    Forward(Fluent),
}

impl Client {
    pub fn new(origin: Origin, ports: Ports) -> Self {
        let http = |address| Wire::Http { address, agent: agent() };
        let wire = match origin.protocol {
            Protocol::OtlpGrpc => {
                Wire::Grpc(Box::new(LogsClient::new(&format!("127.0.0.1:{}", ports.otlp_grpc)).unwrap()))
            }
            Protocol::OtlpHttp => http(format!("http://127.0.0.1:{}/v1/logs", ports.otlp_http)),
            Protocol::Json => http(format!("http://127.0.0.1:{}/", ports.json)),
            Protocol::Bulk => http(format!("http://127.0.0.1:{}/_bulk", ports.elasticsearch)),
            Protocol::Beats => Wire::Beats(Beat::new(ports.beats)),
            Protocol::Forward => Wire::Forward(Fluent::new(ports.forward)),
        };
        Self { origin, wire }
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Sends these records in one request and waits for its answer.
    pub fn send(&mut self, numbers: &[u32]) -> Answer {
        match &mut self.wire {
            Wire::Grpc(grpc) => {
                let message = otlp::request(&self.origin, numbers);
                match grpc.export(message) {
                    Ok(response) => taken(&response),
                    Err(status) => failed_call(&status),
                }
            }
            Wire::Http { address, agent } if self.origin.protocol == Protocol::OtlpHttp => {
                let body = otlp::request(&self.origin, numbers).encode_to_vec();
                match post(agent, address, "application/x-protobuf", &body) {
                    Ok(Raw { status: 200, body, .. }) => {
                        match ExportLogsServiceResponse::decode(body.as_slice()) {
                            Ok(response) => taken(&response),
                            Err(error) => Answer::Never(format!("an answer that is none: {error}")),
                        }
                    }
                    other => failed_post(other),
                }
            }
            Wire::Http { address, agent } if self.origin.protocol == Protocol::Bulk => {
                let body = bulk::body(&self.origin, numbers);
                match post(agent, address, "application/x-ndjson", body.as_bytes()) {
                    Ok(Raw { status: 200, body, .. }) => bulk::answer(&self.origin, numbers, &body),
                    other => failed_post(other),
                }
            }
            Wire::Beats(beat) => beat.send(&self.origin, numbers),
            Wire::Forward(fluent) => fluent.send(&self.origin, numbers),
            Wire::Http { address, agent } => {
                let mut body = String::new();
                for number in numbers {
                    body.push_str(&self.origin.line(*number));
                    body.push('\n');
                }
                match post(agent, address, "application/x-ndjson", body.as_bytes()) {
                    Ok(Raw { status: 200, body, .. }) => json_report(&body),
                    other => failed_post(other),
                }
            }
        }
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build().into()
}

fn taken(response: &ExportLogsServiceResponse) -> Answer {
    let rejected = response.partial_success.as_ref().map_or(0, |partial| partial.rejected_log_records);
    Answer::Taken { rejected: Some(u64::try_from(rejected).unwrap_or(u64::MAX)) }
}

/// OTLP's table of codes that may be retried; RESOURCE_EXHAUSTED only with a delay.
fn failed_call(status: &tonic::Status) -> Answer {
    match (status.code(), retry_info(status.details())) {
        (Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted, Some(after)) => {
            Answer::Again(Some(after))
        }
        (Code::Aborted | Code::OutOfRange | Code::DataLoss, after) => Answer::Again(after),
        // Made up by the client's side when the connection is refused or breaks.
        (
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal | Code::DeadlineExceeded,
            None,
        ) => Answer::Nothing,
        _ => Answer::Never(status.to_string()),
    }
}

/// The codes that all HTTP protocols may retry.
fn failed_post(outcome: Result<Raw, String>) -> Answer {
    match outcome {
        Err(_) => Answer::Nothing,
        Ok(Raw { status: 429 | 502..=504, retry_after, .. }) => Answer::Again(retry_after),
        Ok(raw) => Answer::Never(format!("{}: {}", raw.status, String::from_utf8_lossy(&raw.body))),
    }
}

fn json_report(body: &[u8]) -> Answer {
    let said: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    match said["rejected"].as_u64() {
        Some(rejected) => Answer::Taken { rejected: Some(rejected) },
        None => Answer::Never(format!("no report: {}", String::from_utf8_lossy(body))),
    }
}

struct Raw {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

fn post(agent: &ureq::Agent, address: &str, content_type: &str, body: &[u8]) -> Result<Raw, String> {
    let sent = agent.post(address).header("Content-Type", content_type).send(body);
    let mut response = sent.map_err(|error| error.to_string())?;
    let header = response.headers().get("Retry-After");
    let seconds = header.and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(Raw {
        status: response.status().as_u16(),
        retry_after: seconds.map(Duration::from_secs),
        body: response.body_mut().read_to_vec().map_err(|error| error.to_string())?,
    })
}
