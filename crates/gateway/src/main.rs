// The settings themselves, and the commands that load them, come next.
#[allow(dead_code, unused_imports)]
mod config;

fn main() {}
