//! What the benches share: the seeded corpus, the stages that are measured one by one, and the parts of the end-to-end
//! bench `forebay-bench`.

pub mod corpus;
pub mod cost;
pub mod cpu;
pub mod gateway;
pub mod load;
pub mod overload;
pub mod report;
pub mod run;
pub mod settings;
pub mod sink;
pub mod stages;
pub mod verify;
