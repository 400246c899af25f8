//! The middle of Forebay: from checked bytes to settled debts. No sockets, no product names.
//!
//! The way of a batch, top to bottom: [`wire`] checks a body and indexes it, [`route`] decides where each record goes,
//! [`admit`] makes of it a [`body::Body`] and its [`body::Share`]s, [`deliver`] gathers, sends and retries them, and
//! [`receipt`] tells the client. [`ledger`] counts every record on the way, [`budget`] every byte.

pub mod admit;
pub mod body;
pub mod budget;
mod chunk;
pub mod dead_letter;
pub mod deliver;
mod digits;
pub mod document;
pub mod ids;
pub mod journal;
pub mod ledger;
pub mod planted;
pub mod receipt;
pub mod record;
pub mod route;
pub mod rules;
mod signal;
pub mod spare;
pub mod task;
pub mod tenant;
pub mod time;
pub mod units;
pub mod wire;

pub use signal::Signal;
