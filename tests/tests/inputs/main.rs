//! Every input, from the client that users have to a real Elasticsearch and the searches that they make there.
//!
//! Each test starts with no index, so that whichever document comes first decides how fields are mapped that the template
//! does not name.

#![allow(clippy::unwrap_used)]

mod beats;
mod elasticsearch;
mod expected;
mod forward;
mod lines;
mod scenario;
mod signals;
mod telemetrygen;
