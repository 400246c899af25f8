//! The journal over a storage that crashes.

mod model;
mod salvage;
mod sim;
