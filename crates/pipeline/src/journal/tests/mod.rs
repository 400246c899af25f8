//! The journal over a storage that crashes.

use super::frame::{IdKind, Label};
use crate::wire::WireId;

/// What frames of these tests are labelled with, where it does not matter.
pub(super) const LABEL: Label =
    Label { wire: WireId::Json, ids: IdKind::None, arrived: 0, epoch: 0, counter: 0, plan: 0, records: 1 };

mod damage;
mod inspect;
mod mix;
mod model;
mod repair;
mod salvage;
mod sim;
