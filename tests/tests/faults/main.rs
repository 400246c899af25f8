//! What goes wrong around the gateway, and what must hold all the same: the real binary, a real Elasticsearch that refuses,
//! hangs, stops, or is slow, and clients that do what they are told.
//!
//! Every test compares three books: what clients were told, what Elasticsearch holds, and the gateway's own ledger.
//! `FOREBAY_FULL=1` runs faults for as long as `docs/reliability.md` says; without it they are shorter.

#![allow(clippy::unwrap_used)]
// The figures belong in the tests' output.
#![allow(clippy::print_stdout)]

mod blocked;
mod bombs;
mod client;
mod counters;
mod durable;
mod event;
mod hang;
mod kill;
mod late;
mod letters_full;
mod letters_sink;
mod limits;
mod load;
mod log;
mod outage;
mod poison;
mod reload;
mod replay;
mod signals;
mod slow;
mod stalled;
mod tenants;
mod watch;
mod world;
