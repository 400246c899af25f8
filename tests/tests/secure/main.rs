//! TLS and authentication before the clients that users have: OpenSSL, curl, the OpenTelemetry SDK for Python, go-lumber.

#![allow(clippy::unwrap_used)]

mod check;
mod clients;
mod rotation;
mod world;
