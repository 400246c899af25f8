//! The stages of the hot path, each by itself, and what they are compared with.
//!
//! A stage is prepared once and then passes over its inputs again and again; only the passes are measured, by
//! `benches/stages.rs` in time and by `forebay-ir` under callgrind in instructions.

mod inputs;

use std::hint::black_box;

use anyhow::{Result, anyhow};
use forebay_pipeline::body::{Body, Share};
use forebay_pipeline::document::{DocumentWriter, Framing};
use forebay_pipeline::ids::content_ids;
use forebay_pipeline::wire::json::JsonOptions;
use forebay_sinks::{BuildContext, SinkConfig};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;

use crate::corpus::Keys;

/// Records that one pass of any stage handles.
pub const RECORDS_PER_PASS: u64 = inputs::REQUESTS * inputs::RECORDS as u64;

/// One pass over all inputs; returns how many records it handled.
pub type Pass = Box<dyn FnMut() -> Result<u64>>;

/// Something to measure.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    pub name: &'static str,
    prepare: fn() -> Result<Pass>,
}

impl Stage {
    /// Makes the inputs, and returns the pass over them.
    ///
    /// # Errors
    /// The corpus is not what the stage takes: a bug of this crate.
    pub fn prepare(&self) -> Result<Pass> {
        (self.prepare)()
    }
}

/// Our own stages, whose instructions are guarded.
pub const STAGES: &[Stage] = &[
    Stage { name: "otlp_check", prepare: otlp_check },
    Stage { name: "otlp_check_route", prepare: otlp_check_route },
    Stage { name: "otlp_document", prepare: || Ok(documents(inputs::otlp_shares()?)) },
    Stage { name: "otlp_bulk", prepare: || bulks(inputs::otlp_shares()?, "none") },
    Stage { name: "otlp_bulk_gzip", prepare: || bulks(inputs::otlp_shares()?, "gzip") },
    Stage { name: "json_check", prepare: || json_check(Keys::Ten) },
    Stage { name: "json_check_18_keys", prepare: || json_check(Keys::Eighteen) },
    Stage { name: "json_check_route", prepare: json_check_route },
    Stage { name: "json_document", prepare: || Ok(documents(inputs::json_shares()?)) },
    Stage { name: "json_bulk", prepare: || bulks(inputs::json_shares()?, "none") },
];

/// What others need for the same bytes, and the least that anyone does. Nobody's regressions of ours, so not guarded.
pub const REFERENCES: &[Stage] = &[
    Stage { name: "memcpy", prepare: memcpy },
    Stage { name: "prost_decode", prepare: prost_decode },
    Stage { name: "serde_json_value", prepare: serde_json_value },
];

/// Stages and references by name.
#[must_use]
pub fn find(name: &str) -> Option<Stage> {
    STAGES.iter().chain(REFERENCES).find(|stage| stage.name == name).copied()
}

/// Framing, UTF-8 and the index, and a route that asks for nothing.
fn otlp_check() -> Result<Pass> {
    let plan = inputs::one_route()?;
    Ok(each(inputs::otlp_bodies(), move |body| {
        let index = inputs::check_otlp(&plan, body)?;
        Ok(black_box(index).records.len())
    }))
}

/// All that admission does per record: the check, the shipped routes, and ids from the content.
fn otlp_check_route() -> Result<Pass> {
    let plan = inputs::shipped_routes()?;
    Ok(each(inputs::otlp_bodies(), move |body| {
        let index = inputs::check_otlp(&plan, body)?;
        black_box(content_ids(body, &index));
        Ok(black_box(index).records.len())
    }))
}

fn json_check(keys: Keys) -> Result<Pass> {
    let plan = inputs::one_route()?;
    let options = JsonOptions::default();
    Ok(each(inputs::json_bodies(keys), move |body| {
        let index = inputs::check_json(&plan, &options, body)?;
        Ok(black_box(index).records.len())
    }))
}

/// All that admission does per record; JSON ids are minted, which costs nothing here.
fn json_check_route() -> Result<Pass> {
    let plan = inputs::shipped_routes()?;
    let options = JsonOptions::default();
    Ok(each(inputs::json_bodies(Keys::Ten), move |body| {
        let index = inputs::check_json(&plan, &options, body)?;
        Ok(black_box(index).records.len())
    }))
}

/// Documents alone, one to a line.
fn documents(shares: Vec<Share>) -> Pass {
    let mut writer = DocumentWriter::new(&inputs::promoted());
    let mut out = Vec::new();
    each(shares, move |share| {
        out.clear();
        let written = writer.write(share, &mut out, &mut Unframed);
        black_box(&out);
        Ok(written as usize)
    })
}

/// Bulk bodies as the Elasticsearch sink sends them: each of one destination, sealed when it is large enough.
fn bulks(shares: Vec<Share>, compression: &str) -> Result<Pass> {
    let settings = serde_json::json!({"type": "elasticsearch", "compression": compression});
    let config: SinkConfig = serde_json::from_value(settings)?;
    let limit = config.delivery().batch.max_bytes.as_usize();
    let context = BuildContext { promote: inputs::promoted() };
    let sink = config.build("bench", &context).map_err(|faults| anyhow!("{faults:?}"))?;
    Ok(Box::new(move || {
        let mut records = 0;
        for lane in shares.chunk_by(|one, next| one.destination == next.destination) {
            // No limit for the encoder, which would split a share: the rest of it would have to be kept between passes.
            let new_encoder = || sink.encoder(&lane[0].destination, usize::MAX);
            let mut encoder = new_encoder();
            for share in lane {
                records += u64::from(encoder.push(share));
                if encoder.len() >= limit {
                    black_box(std::mem::replace(&mut encoder, new_encoder()).finish());
                }
            }
            black_box(encoder.finish());
        }
        Ok(records)
    }))
}

/// The least that anyone does with a request.
fn memcpy() -> Result<Pass> {
    let mut out = Vec::new();
    Ok(each(inputs::otlp_bodies(), move |body| {
        out.clear();
        out.extend_from_slice(body);
        black_box(&out);
        Ok(inputs::RECORDS)
    }))
}

/// What servers with generated types do before anything else.
fn prost_decode() -> Result<Pass> {
    Ok(each(inputs::otlp_bodies(), |body| {
        let request = black_box(ExportLogsServiceRequest::decode(&body[..])?);
        let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
        Ok(scopes.map(|scope| scope.log_records.len()).sum())
    }))
}

/// The same for JSON lines of ten keys.
fn serde_json_value() -> Result<Pass> {
    Ok(each(inputs::json_bodies(Keys::Ten), |body| {
        let lines = serde_json::Deserializer::from_slice(body).into_iter::<serde_json::Value>();
        let mut records = 0;
        for line in lines {
            black_box(line?);
            records += 1;
        }
        Ok(records)
    }))
}

/// A pass that does `work` with every input; `work` returns the records in it.
fn each<T: 'static>(inputs: Vec<T>, mut work: impl FnMut(&T) -> Result<usize> + 'static) -> Pass {
    Box::new(move || {
        let mut records = 0;
        for input in &inputs {
            records += work(input)? as u64;
        }
        Ok(records)
    })
}

/// Nothing around a document, and room for every one.
#[derive(Debug)]
struct Unframed;

impl Framing for Unframed {
    fn begin(&mut self, _: &Body, _: u32, _: &mut Vec<u8>) {}

    fn end(&mut self, _: usize, _: &mut Vec<u8>) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_stage_handles_every_record_in_every_pass() {
        for stage in STAGES.iter().chain(REFERENCES) {
            let mut pass = stage.prepare().unwrap();
            assert_eq!([pass().unwrap(), pass().unwrap()], [RECORDS_PER_PASS; 2], "{}", stage.name);
        }
    }

    #[test]
    fn shares_go_to_all_four_destinations() {
        for shares in [inputs::otlp_shares().unwrap(), inputs::json_shares().unwrap()] {
            let destinations: BTreeSet<_> = shares.iter().map(|share| &*share.destination).collect();
            let expected = ["ethics", "logs", "persona", "security"];
            assert!(
                destinations.into_iter().eq(expected.map(|name| format!("project-ai-{name}-2026.11.21")))
            );
        }
    }
}
