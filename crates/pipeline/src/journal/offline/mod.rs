//! A journal that no gateway has open: looked at, checked, repaired.

mod beside;
pub mod finding;
mod given_up;
pub mod inspect;
pub mod look;
mod pieces;
pub mod repair;
pub mod runs;
