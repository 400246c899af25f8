//! Bugs and panics on purpose, to see that the tests would find them. An ordinary build has none of it: every question is answered no
//! when it is compiled.
//!
//! With the feature `planted`, `FOREBAY_PLANT` names the bug, and `FOREBAY_PANIC` (`writer:50+consumer:7`) the places that panic, each
//! time that so many have passed it. `docs/reliability.md` has the list.

#[cfg(not(any(test, feature = "planted")))]
mod answers {
    /// Whether this bug is planted.
    pub const fn is(_bug: &str) -> bool {
        false
    }

    /// Panics if it is time to, at this place.
    pub const fn pass(_place: &str) {}
}

#[cfg(any(test, feature = "planted"))]
mod answers {
    use parking_lot::Mutex;
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::sync::OnceLock;

    thread_local! {
        static HERE: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Whether this bug is planted: by a test in this thread, or by the environment.
    pub fn is(bug: &str) -> bool {
        static PLANT: OnceLock<Option<String>> = OnceLock::new();
        HERE.get() == Some(bug)
            || PLANT.get_or_init(|| std::env::var("FOREBAY_PLANT").ok()).as_deref() == Some(bug)
    }

    /// Does `work` with a bug planted.
    #[cfg(test)]
    pub fn with<T>(bug: &'static str, work: impl FnOnce() -> T) -> T {
        HERE.set(Some(bug));
        let done = work();
        HERE.set(None);
        done
    }

    /// Panics if it is time to, at this place.
    #[allow(clippy::panic)] // what it is for
    pub fn pass(place: &str) {
        static LEFT: OnceLock<Mutex<BTreeMap<String, (u64, u64)>>> = OnceLock::new();
        let left = LEFT.get_or_init(|| Mutex::new(places()));
        let mut left = left.lock();
        let Some((every, passed)) = left.get_mut(place) else { return };
        *passed += 1;
        if *passed % *every == 0 {
            drop(left);
            panic!("a panic was planted in {place}");
        }
    }

    fn places() -> BTreeMap<String, (u64, u64)> {
        let text = std::env::var("FOREBAY_PANIC").unwrap_or_default();
        let one = |part: &str| {
            let (place, every) = part.split_once(':')?;
            Some((place.to_owned(), (every.parse::<u64>().ok()?.max(1), 0)))
        };
        text.split('+').filter_map(one).collect()
    }
}

pub use answers::*;
