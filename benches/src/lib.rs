//! What the benches share: the seeded corpus, and the parts of the end-to-end bench `forebay-bench`.

pub mod corpus;
pub mod load;
pub mod sink;
