//! What one run is, from the environment: `cargo xtask torture` sets it, and without it the run is the short one of CI.

use std::time::Duration;

/// When the gateway tells its clients success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    Delivered,
    Durable,
}

/// Bounds of a run and what is switched on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Decides every fault and every event.
    pub seed: u64,
    /// The run lasts at least so long.
    pub lasts: Duration,
    /// Least acknowledged records of a valid run.
    pub records: u64,
    /// Least number of SIGKILLs of a valid run.
    pub kills: u64,
    pub acknowledge: Acknowledge,
    /// Whether the configuration is changed and reloaded by SIGHUP.
    pub reload: bool,
    /// Length of one round.
    pub round: Duration,
    /// Environment variables of the gateway beside those of the run.
    pub environment: Vec<(String, String)>,
}

/// How long after its time a run may go on to reach its bounds.
pub const GRACE: Duration = Duration::from_secs(180);

impl Settings {
    /// # Panics
    /// A variable has a value that it cannot have.
    pub fn from_environment(acknowledge: Acknowledge) -> Self {
        let minutes: f64 = number("FOREBAY_TORTURE_MINUTES").unwrap_or(0.0);
        let is_long = minutes > 0.0;
        Self {
            seed: number("FOREBAY_TORTURE_SEED").unwrap_or(0x0f0e_ba11),
            lasts: Duration::from_secs_f64(minutes * 60.0),
            records: number("FOREBAY_TORTURE_RECORDS").unwrap_or(if is_long { 1_000_000 } else { 100_000 }),
            kills: number("FOREBAY_TORTURE_KILLS").unwrap_or(if is_long { 20 } else { 3 }),
            acknowledge,
            reload: text("FOREBAY_TORTURE_RELOAD").as_deref() != Some("0"),
            round: Duration::from_secs(if is_long { 30 } else { 15 }),
            environment: environment(),
        }
    }
}

impl Settings {
    /// Whether the gateway is told to panic now and then.
    pub fn panics(&self) -> bool {
        self.environment.iter().any(|(name, _)| name == "FOREBAY_PANIC")
    }
}

/// `NAME=value` pairs, separated by commas.
fn environment() -> Vec<(String, String)> {
    let all = text("FOREBAY_TORTURE_ENV").unwrap_or_default();
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').expect("FOREBAY_TORTURE_ENV is NAME=value,...");
        (name.trim().to_owned(), value.to_owned())
    };
    all.split(',').filter(|pair| !pair.trim().is_empty()).map(pair).collect()
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    text(name).map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is {value}: not a number")))
}
