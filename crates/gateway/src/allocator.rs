//! How long the allocator keeps what it was given back.
//!
//! That is memory which no lease counts: bodies of less than 256 KiB that have gone, beside large ones that have come in their place and lie in mappings,
//! took the process to nearly twice its budget. `tests/tests/faults/stalled.rs` shows that it does not now.

// mimalloc's options are set by calls into C, for which its crate has no safe ones; the environment is read before `main`.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_long};

/// How long pages without content are kept, in milliseconds. mimalloc 3 keeps them for 1,000, earlier versions did for 10. `MIMALLOC_PURGE_DELAY` in
/// the environment counts before it.
const PURGE_DELAY_MS: c_long = 10;
/// `mi_option_purge_delay`, a number of `mi_option_t` in `mimalloc.h`. Another version may have another.
const PURGE_DELAY: c_int = 15;

unsafe extern "C" {
    fn mi_option_set_default(option: c_int, value: c_long);
}

/// Has pages without content given back soon. Called once, before there is another thread.
pub fn give_back_soon() {
    // SAFETY: `mimalloc.h` declares it so, and the allocator is linked. It writes a number into a table of its own if the option is within, and
    // does nothing else; nobody else reads the table meanwhile, since there is one thread.
    unsafe { mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" {
        fn mi_option_get(option: c_int) -> c_long;
    }

    fn delay() -> c_long {
        // SAFETY: `mimalloc.h` declares it so; it reads a number.
        unsafe { mi_option_get(PURGE_DELAY) }
    }

    /// Also that the option still has its number: no other one has this default.
    #[test]
    fn the_delay_is_shortened_and_the_environment_counts_before() {
        let before = delay();
        give_back_soon();
        match std::env::var("MIMALLOC_PURGE_DELAY") {
            Ok(set) => assert_eq!((delay(), before.to_string()), (before, set)),
            Err(_) => assert_eq!((before, delay()), (1_000, PURGE_DELAY_MS)),
        }
    }
}
