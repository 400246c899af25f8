//! The document model (docs/document-model.md) against a real Elasticsearch and a real OpenSearch: what is sent by hand is stored as the page says.

#![allow(clippy::unwrap_used)]
// A whole document is one `json!`, which expands a level deeper for each member.
#![recursion_limit = "256"]

mod installation;
mod json;
mod opensearch;
mod otlp;
mod send;
mod tls;
