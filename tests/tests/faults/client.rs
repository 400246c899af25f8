//! Clients of the gateway's three ports that tell what they were told.

use crate::event::{Event, json_lines, otlp};
use forebay_proto::collector::ExportLogsServiceResponse;
use forebay_proto::rpc;
use forebay_tests::gateway::Ports;
use forebay_tests::otlp::{LogsClient, retry_info};
use prost::Message;
use std::thread;
use std::time::Duration;
use tonic::Code;

/// Longer than the gateway's `ack_timeout`: it is to answer by itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of one request that is told to come again.
const MOST_ATTEMPTS: u32 = 15;

/// What a client learnt about one request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Success, perhaps not for every record.
    Taken(Report),
    /// To be sent again, after a while that the answer named.
    Again { after: Duration, reason: String },
    /// Never to be sent again; or an answer that breaks the protocol.
    Never(String),
    /// Nobody answered: it may have been taken.
    #[allow(dead_code, reason = "shown by Debug when a test fails")]
    Nothing(String),
}

/// A success in detail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Records that were refused for good.
    pub rejected: u64,
    /// Only JSON's answer counts them.
    pub dead_lettered: u64,
    /// What it says beside, in words.
    pub message: String,
}

impl Answer {
    /// The report of a success.
    pub fn taken(self) -> Report {
        match self {
            Self::Taken(report) => report,
            other => panic!("not taken: {other:?}"),
        }
    }
}

/// Sends one request and waits for its answer.
pub trait Client: Send {
    fn send(&mut self, events: &[Event]) -> Answer;
}

/// Sends a request, and again while told to, a few times.
pub fn insist(client: &mut dyn Client, events: &[Event]) -> Report {
    let mut answer = client.send(events);
    for _ in 0..MOST_ATTEMPTS {
        let Answer::Again { after, .. } = &answer else { break };
        thread::sleep(*after);
        answer = client.send(events);
    }
    answer.taken()
}

/// The ports' clients, by the protocol's name.
pub fn client(protocol: &str, ports: Ports) -> Box<dyn Client> {
    match protocol {
        "otlp_grpc" => {
            Box::new(OtlpGrpc(LogsClient::new(&format!("127.0.0.1:{}", ports.otlp_grpc)).unwrap()))
        }
        "otlp_http" => Box::new(OtlpHttp {
            address: format!("http://127.0.0.1:{}/v1/logs", ports.otlp_http),
            agent: agent(),
        }),
        "json" => Box::new(Json { address: format!("http://127.0.0.1:{}/", ports.json), agent: agent() }),
        other => panic!("no client speaks {other}"),
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build().into()
}

struct OtlpGrpc(LogsClient);

impl Client for OtlpGrpc {
    fn send(&mut self, events: &[Event]) -> Answer {
        match self.0.export(otlp(events)) {
            Ok(response) => Answer::Taken(report(response)),
            Err(status) => match (status.code(), retry_info(status.details())) {
                (Code::Unavailable | Code::DeadlineExceeded, Some(after)) => {
                    Answer::Again { after, reason: status.message().to_owned() }
                }
                // Made up by the client's side when the connection is refused or breaks.
                (Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal, None) => {
                    Answer::Nothing(status.to_string())
                }
                _ => Answer::Never(status.to_string()),
            },
        }
    }
}

fn report(response: ExportLogsServiceResponse) -> Report {
    let partial = response.partial_success.unwrap_or_default();
    Report {
        rejected: u64::try_from(partial.rejected_log_records).unwrap(),
        dead_lettered: 0,
        message: partial.error_message,
    }
}

struct OtlpHttp {
    address: String,
    agent: ureq::Agent,
}

impl Client for OtlpHttp {
    fn send(&mut self, events: &[Event]) -> Answer {
        let body = otlp(events).encode_to_vec();
        match post(&self.agent, &self.address, "application/x-protobuf", &body) {
            Err(error) => Answer::Nothing(error),
            Ok(Raw { status: 200, body, .. }) => {
                Answer::Taken(report(ExportLogsServiceResponse::decode(body.as_slice()).unwrap()))
            }
            Ok(raw) => {
                let status = rpc::Status::decode(raw.body.as_slice()).unwrap_or_default();
                match (raw.status, raw.retry_after) {
                    (429 | 502..=504, Some(after)) if retry_info(&raw.body).is_some() => {
                        Answer::Again { after, reason: status.message }
                    }
                    (code, after) => Answer::Never(format!("{code}, Retry-After {after:?}: {status:?}")),
                }
            }
        }
    }
}

struct Json {
    address: String,
    agent: ureq::Agent,
}

impl Client for Json {
    fn send(&mut self, events: &[Event]) -> Answer {
        match post(&self.agent, &self.address, "application/x-ndjson", json_lines(events).as_bytes()) {
            Err(error) => Answer::Nothing(error),
            Ok(raw) => {
                let text = String::from_utf8_lossy(&raw.body).into_owned();
                let said: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                match (raw.status, raw.retry_after) {
                    (200, _) => Answer::Taken(Report {
                        rejected: said["rejected"].as_u64().unwrap(),
                        dead_lettered: said["dead_lettered"].as_u64().unwrap(),
                        message: said["errors"].to_string(),
                    }),
                    (503, Some(after)) => Answer::Again { after, reason: said["error"].to_string() },
                    (code, after) => Answer::Never(format!("{code}, Retry-After {after:?}: {text}")),
                }
            }
        }
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
    let retry_after =
        response.headers().get("Retry-After").map(|value| value.to_str().unwrap().parse().unwrap());
    Ok(Raw {
        status: response.status().as_u16(),
        retry_after: retry_after.map(Duration::from_secs),
        body: response.body_mut().read_to_vec().map_err(|error| error.to_string())?,
    })
}
