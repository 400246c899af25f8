//! What this build calls itself.

/// The package's version, or what `FOREBAY_VERSION` was when it was compiled: whoever packs it may add a commit (`0.1.0+1a2b3c4`).
pub const VERSION: &str = match option_env!("FOREBAY_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};
