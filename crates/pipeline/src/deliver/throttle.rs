//! Keeps repeated faults from filling the log.

use std::time::Duration;
use tokio::time::Instant;

/// The least time between two lines about the same kind of fault of one sink.
const PAUSE: Duration = Duration::from_secs(10);

/// Lets one line through, then none for a while.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    last: Option<Instant>,
    withheld: u64,
}

impl Throttle {
    /// Runs `log` with the number of lines withheld since the last one, if it is time for a line.
    pub(super) fn log(&mut self, now: Instant, log: impl FnOnce(u64)) {
        if self.last.is_some_and(|last| now < last + PAUSE) {
            self.withheld += 1;
            return;
        }
        self.last = Some(now);
        log(std::mem::take(&mut self.withheld));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_then_silence_then_one_that_counts_it() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        let mut lines = Vec::new();
        for seconds in [0, 1, 9, 10, 25] {
            throttle.log(start + Duration::from_secs(seconds), |withheld| lines.push((seconds, withheld)));
        }
        assert_eq!(lines, [(0, 0), (10, 2), (25, 0)]);
    }
}
