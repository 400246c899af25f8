//! Lines for the person at the terminal. The log is elsewhere.

use std::io::Write as _;

/// Writes a line for the person at the terminal. A closed pipe is no reason to fail.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// The same on standard error.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
