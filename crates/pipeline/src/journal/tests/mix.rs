//! What a run of the crash model was made of.

/// How often what happened.
#[derive(Debug, Default)]
pub(super) struct Mix {
    pub appends: u64,
    pub full: u64,
    pub failed: u64,
    pub acknowledged: u64,
    pub finished: u64,
    pub checkpoints: u64,
    pub reads: u64,
    pub crashes: u64,
    pub power_cuts: u64,
    pub restarts: u64,
    pub resent: u64,
    pub shown_once: u64,
    pub reloads: u64,
    pub retired: u64,
}

impl Mix {
    pub(super) fn add(&mut self, other: &Self) {
        self.appends += other.appends;
        self.full += other.full;
        self.failed += other.failed;
        self.acknowledged += other.acknowledged;
        self.finished += other.finished;
        self.checkpoints += other.checkpoints;
        self.reads += other.reads;
        self.crashes += other.crashes;
        self.power_cuts += other.power_cuts;
        self.restarts += other.restarts;
        self.resent += other.resent;
        self.shown_once += other.shown_once;
        self.reloads += other.reloads;
        self.retired += other.retired;
    }
}
