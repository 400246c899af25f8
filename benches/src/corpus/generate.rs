//! From numbers to records: what a fleet of services of the document model would say.

use std::fmt::Write;

use super::SEQUENCE_KEY;
use super::model::{Attribute, Record, Resource, Scope, Value};
use super::rng::Rng;

/// Time between two records; with it one million records span 0.7 s of event time.
const STEP_NANOS: u64 = 700;

const COMPONENTS: [&str; 12] = [
    "ai-persona",
    "security",
    "cerberus",
    "four-laws",
    "api",
    "Security",
    "memory",
    "planner",
    "scheduler",
    "CERBERUS",
    "speech",
    "ai-persona",
];
const LOGGERS: [&str; 8] = [
    "project.ai.engine",
    "project.api.http",
    "project.security.audit",
    "project.ethics.laws",
    "project.memory.store",
    "project.planner",
    "project.speech.tts",
    "uvicorn.access",
];
const LEVELS: [(i32, &str); 8] = [
    (9, "INFO"),
    (9, "INFO"),
    (9, "INFO"),
    (5, "DEBUG"),
    (9, "INFO"),
    (13, "WARN"),
    (17, "ERROR"),
    (5, "DEBUG"),
];
const MOODS: [&str; 8] = ["calm", "curious", "happy", "focused", "wary", "tired", "playful", "neutral"];
const RESULTS: [&str; 4] = ["allowed", "denied", "deferred", "escalated"];
const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];
const PATHS: [&str; 8] =
    ["/v1/persona", "/v1/chat", "/v2/memory", "/v1/laws", "/v1/audit", "/v1/plan", "/v1/speech", "/healthz"];
const VERBS: [&str; 8] =
    ["completed", "accepted", "scheduled", "rejected", "retried", "observed", "stored", "forwarded"];
const WORDS: [&str; 48] = [
    "request", "session", "context", "token", "policy", "user", "answer", "model", "cache", "queue",
    "worker", "shard", "replica", "latency", "budget", "window", "signal", "intent", "memory", "recall",
    "vector", "index", "batch", "stream", "upstream", "timeout", "after", "before", "without", "with",
    "from", "into", "because", "while", "next", "last", "slow", "fresh", "partial", "complete", "missing",
    "expected", "actual", "limit", "rate", "state", "voice", "tone",
];
/// Text that needs more than one byte per character, as a tenth of real fleets' text does somewhere.
const FOREIGN: [&str; 6] =
    ["Größe geändert", "déjà traité", "応答しました", "сессия закрыта", "naïve café ☕", "状態 🙂 ok"];
/// Text that JSON must escape.
const ESCAPED: [&str; 5] = [
    "said \"yes\"",
    "C:\\models\\v2",
    "line one\nline two",
    "a\tb",
    "Traceback:\n  File \"app.py\", line 7\u{1b}[0m",
];

/// Resource `number` of the fleet: eight attributes, all but the component and the environment its own.
pub(super) fn resource(seed: u64, number: usize) -> Resource {
    let mut rng = Rng::new(seed, u64::MAX - number as u64);
    let component = COMPONENTS[number % COMPONENTS.len()];
    let service = format!("{}-{:03}", component.to_lowercase(), number);
    let mut pod = format!("{service}-");
    rng.hex(5, &mut pod);
    let mut instance = String::new();
    rng.hex(8, &mut instance);
    let host = format!("node-{:02}", rng.below(64));
    let version = format!("{}.{}.{}", 1 + rng.below(3), rng.below(20), rng.below(50));
    let environment = rng.pick(&["production", "staging", "canary"]);
    let attributes = vec![
        Attribute::text("service.name", service),
        Attribute::text("service.version", version),
        Attribute::text("service.instance.id", instance),
        Attribute::text("component", component),
        Attribute::text("host.name", host),
        Attribute::text("k8s.pod.name", pod),
        Attribute::text("deployment.environment.name", environment),
        Attribute::new("process.pid", Value::Int(rng.below(60_000) as i64 + 1)),
    ];
    Resource { component, attributes }
}

/// Scope `number` of the fleet.
pub(super) fn scope(seed: u64, number: usize) -> Scope {
    let mut rng = Rng::new(seed, (1 << 63) + number as u64);
    let version = format!("{}.{}", 1 + rng.below(4), rng.below(30));
    let mut attributes = Vec::new();
    if number.is_multiple_of(4) {
        attributes.push(Attribute::new("sampled", Value::Bool(true)));
    }
    Scope { name: LOGGERS[number % LOGGERS.len()], version, attributes }
}

/// Record `sequence`: six attributes, about 335 bytes as OTLP.
pub(super) fn record(seed: u64, start_unix_nano: u64, sequence: u64) -> Record {
    let mut rng = Rng::new(seed, sequence);
    let (mut severity_number, mut severity_text) = rng.pick(&LEVELS);
    if rng.one_in(16) {
        severity_number = rng.below(24) as i32 + 1;
        severity_text = "";
    }
    let mut time_unix_nano = start_unix_nano + sequence * STEP_NANOS + rng.below(STEP_NANOS);
    let mut observed_time_unix_nano = time_unix_nano + 50_000 + rng.below(2_000_000);
    match rng.below(64) {
        0 => time_unix_nano = 0,
        1 => observed_time_unix_nano = 0,
        _ => {}
    }
    let traced = !rng.one_in(8);
    Record {
        sequence,
        time_unix_nano,
        observed_time_unix_nano,
        severity_number,
        severity_text,
        body: body(&mut rng),
        attributes: attributes(&mut rng, sequence),
        trace_id: if traced { id(&mut rng, 16) } else { Vec::new() },
        span_id: if traced { id(&mut rng, 8) } else { Vec::new() },
        flags: u32::from(traced),
        python_names: rng.one_in(16),
    }
}

fn id(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16);
    while bytes.len() < len {
        bytes.extend_from_slice(&rng.bits().to_be_bytes());
    }
    bytes
}

fn body(rng: &mut Rng) -> Value {
    let text = message(rng);
    if rng.one_in(64) {
        return Value::Map(vec![
            Attribute::text("event", text),
            Attribute::new("attempt", Value::Int(rng.below(5) as i64)),
        ]);
    }
    Value::Str(text)
}

/// A sentence of about 115 bytes, with an identifier and a number of its own.
fn message(rng: &mut Rng) -> String {
    let mut text = String::with_capacity(160);
    text.push_str(rng.pick(&WORDS));
    text.push(' ');
    rng.hex(12, &mut text);
    text.push(' ');
    text.push_str(rng.pick(&VERBS));
    let _ = write!(text, " in {} ms: ", rng.below(4_000));
    if rng.one_in(24) {
        text.push_str(rng.pick(&FOREIGN));
        text.push(' ');
    }
    if rng.one_in(16) {
        text.push_str(rng.pick(&ESCAPED));
        text.push(' ');
    }
    let target = 101 + rng.below(28) as usize;
    while text.len() < target {
        text.push_str(rng.pick(&WORDS));
        text.push(' ');
    }
    text.pop();
    text
}

fn attributes(rng: &mut Rng, sequence: u64) -> Vec<Attribute> {
    let mut endpoint = String::from(rng.pick(&PATHS));
    endpoint.push('/');
    rng.hex(6, &mut endpoint);
    let mut user = String::from("u-");
    rng.hex(10, &mut user);
    let duration = rng.below(3_000_000) as f64 / 1_000.0;
    let fact = match rng.below(3) {
        0 => Attribute::text("mood", rng.pick(&MOODS)),
        1 => Attribute::text("result", rng.pick(&RESULTS)),
        _ => Attribute::text("severity", rng.pick(&SEVERITIES)),
    };
    vec![
        Attribute::new(SEQUENCE_KEY, Value::Int(sequence as i64)),
        Attribute::text("endpoint", endpoint),
        Attribute::new("api.duration", Value::Double(duration)),
        Attribute::text("user.id", user),
        fact,
        rare_attribute(rng),
    ]
}

/// A name, a flag, a counter; now and then what mappings get wrong: a reserved name, an array, all 17 digits.
fn rare_attribute(rng: &mut Rng) -> Attribute {
    match rng.below(32) {
        0 => Attribute::text("name", "worker-7"),
        1 => Attribute::new(
            "tags",
            Value::Array(vec![Value::Str(rng.pick(&MOODS).into()), Value::Int(rng.below(9) as i64)]),
        ),
        2..=7 => Attribute::new("value", Value::Double(rng.unit() * 100.0)),
        8..=11 => Attribute::new("queue.depth", Value::Int(rng.below(10_000) as i64 - 10)),
        12..=15 => Attribute::new("cache.hit", Value::Bool(rng.one_in(2))),
        _ => {
            let mut model = String::from("persona-large-v2-");
            rng.hex(8, &mut model);
            Attribute::text("model.name", model)
        }
    }
}
