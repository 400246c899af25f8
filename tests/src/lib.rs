//! What the black-box tests stand on: real programs, fetched once into a cache, started and stopped around the gateway.
//!
//! Nothing here knows how the gateway works inside. It is started as an operator would start it, fed by the clients
//! that users have, and judged by what a real Elasticsearch holds afterwards and by its own ledger.

pub mod cache;
pub mod cgroup;
pub mod config;
pub mod disk_faults;
pub mod elasticsearch;
pub mod fault_proxy;
pub mod fluent;
pub mod gateway;
pub mod http;
pub mod lumber;
pub mod metrics;
pub mod otlp;
pub mod ports;
pub mod process;
pub mod python;
pub mod recorder;
pub mod round_robin;
pub mod runtime;
pub mod schemas;
pub mod seeded;
pub mod telemetrygen;
pub mod tools;
pub mod yaml;

pub use elasticsearch::Elasticsearch;
pub use gateway::Gateway;
pub use process::wait_until;
pub use round_robin::RoundRobin;
