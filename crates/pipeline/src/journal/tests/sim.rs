//! A folder that crashes: what was not synced is lost, torn, or kept, as chance has it.
//!
//! Harsher than most disks: names and contents are durable independently of each other, unsynced names come and go one by one, an
//! unsynced tail may be cut anywhere and followed by zeros or rubbish, and a failed sync forgets what it did not write, although
//! a later one succeeds.

use crate::journal::storage::{Appender, Storage};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// What happened to the storage, by kind, for the report of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub writes: u64,
    pub syncs: u64,
    pub name_syncs: u64,
    pub renames: u64,
    pub removes: u64,
    pub errors: u64,
    /// Operations that the power went away in, or before.
    pub cut: u64,
    pub torn: u64,
    pub lost_names: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.writes += other.writes;
        self.syncs += other.syncs;
        self.name_syncs += other.name_syncs;
        self.renames += other.renames;
        self.removes += other.removes;
        self.errors += other.errors;
        self.cut += other.cut;
        self.torn += other.torn;
        self.lost_names += other.lost_names;
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    data: Vec<u8>,
    durable: Vec<u8>,
    /// From where on a failed sync forgot what was written, up to where.
    forgotten: Vec<std::ops::Range<usize>>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Create(String, usize),
    Rename(String, String, usize),
    Remove(String, usize),
}

#[derive(Debug)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    changes: Vec<NameChange>,
    rng: StdRng,
    /// Out of so many operations one fails; 0: none.
    fail_one_in: u32,
    /// A file that cannot be read.
    unreadable: Option<String>,
    /// The power goes in so many operations.
    power: Option<u32>,
    /// Bugs to be found: contents, or names, are not synced although that is said.
    lies: (bool, bool),
    counts: Counts,
}

/// The folder; clones are the same folder.
#[derive(Clone, Debug)]
pub(super) struct Sim(Arc<Mutex<State>>);

#[derive(Debug)]
pub(super) struct SimFile {
    folder: Sim,
    inode: usize,
    /// Appended and not in the file yet.
    staged: Vec<u8>,
}

/// So much is held back before it is written, as by a real folder's files.
const STAGED_BYTES: usize = 400;

impl Sim {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            fail_one_in: 0,
            unreadable: None,
            power: None,
            lies: (false, false),
            counts: Counts::default(),
        })))
    }

    pub(super) fn fail_one_in(&self, operations: u32) {
        self.0.lock().fail_one_in = operations;
    }

    /// From now on syncs of contents, or of names, do nothing.
    pub(super) fn lie(&self, contents: bool, names: bool) {
        self.0.lock().lies = (contents, names);
    }

    /// From now on this file cannot be read, or all can.
    pub(super) fn refuse_to_read(&self, name: Option<String>) {
        self.0.lock().unreadable = name;
    }

    /// The power goes away in so many operations: that one is done by half, and none after it until the [`crash`](Self::crash).
    pub(super) fn cut_power_in(&self, operations: u32) {
        self.0.lock().power = Some(operations);
    }

    pub(super) fn counts(&self) -> Counts {
        self.0.lock().counts
    }

    /// The power goes and comes back.
    pub(super) fn crash(&self) {
        let mut state = self.0.lock();
        let state = &mut *state;
        state.power = None;
        for change in std::mem::take(&mut state.changes) {
            if state.rng.random_bool(0.5) {
                state.counts.lost_names += 1;
                continue;
            }
            let (gone, set) = match change {
                NameChange::Create(name, inode) => (None, Some((name, inode))),
                NameChange::Rename(from, to, inode) => (Some((from, inode)), Some((to, inode))),
                NameChange::Remove(name, inode) => (Some((name, inode)), None),
            };
            // Only if it is still that file's name.
            if let Some((name, _)) = gone.filter(|(name, inode)| state.durable_names.get(name) == Some(inode))
            {
                state.durable_names.remove(&name);
            }
            state.durable_names.extend(set);
        }
        state.names = state.durable_names.clone();
        for inode in &mut state.inodes {
            let before = inode.data.len();
            inode.crash(&mut state.rng);
            state.counts.torn += u64::from(inode.data.len() != before);
        }
    }

    /// Flips a bit of a file, as a dying disk would. Returns the file's name.
    pub(super) fn damage(&self, which: impl Fn(&str) -> bool) -> Option<String> {
        let mut state = self.0.lock();
        let state = &mut *state;
        let files: Vec<(&String, &usize)> = state.names.iter().filter(|(name, _)| which(name)).collect();
        let (name, inode) = files.get(state.rng.next_u32() as usize % files.len().max(1))?;
        let inode = &mut state.inodes[**inode];
        if inode.durable.is_empty() {
            return None;
        }
        let place = state.rng.random_range(0..inode.durable.len());
        inode.durable[place] ^= 1;
        inode.data.clone_from(&inode.durable);
        Some((*name).clone())
    }
}

impl Inode {
    fn crash(&mut self, rng: &mut StdRng) {
        if self.data != self.durable {
            let shared = self.data.iter().zip(&self.durable).take_while(|(one, other)| one == other).count();
            // Appended to: some of it may have made it. Otherwise changed elsewhere (emptied, cut): either state.
            if shared == self.durable.len() {
                let kept = rng.random_range(shared..=self.data.len());
                let mut torn = self.data[..kept].to_vec();
                let rubbish = rng.random_range(0..=self.data.len() - kept);
                let fill = if rng.random_bool(0.5) { 0 } else { rng.random() };
                torn.extend(std::iter::repeat_n(fill, rubbish));
                self.durable = torn;
            } else if rng.random_bool(0.5) {
                self.durable.clone_from(&self.data);
            }
        }
        self.data.clone_from(&self.durable);
        self.forgotten.clear();
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.data);
        for range in &self.forgotten {
            let end = range.end.min(self.durable.len());
            self.durable[range.start.min(end)..end].fill(0);
        }
    }
}

impl State {
    /// There is no power, so nothing happens any more.
    fn is_off(&self) -> bool {
        self.power == Some(0)
    }

    fn fails(&mut self) -> bool {
        if let Some(left) = &mut self.power {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.counts.cut += 1;
                return true;
            }
        }
        let fails = self.fail_one_in > 0 && self.rng.random_ratio(1, self.fail_one_in);
        self.counts.errors += u64::from(fails);
        fails
    }

    fn trial(&mut self) -> io::Result<()> {
        if self.fails() { Err(refused()) } else { Ok(()) }
    }

    fn inode(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn refused() -> io::Error {
    io::Error::other("the simulated disk refuses")
}

impl Storage for Sim {
    type Appender = SimFile;

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = self.0.lock();
        let size = |inode: usize| state.inodes[inode].data.len() as u64;
        Ok(state.names.iter().map(|(name, inode)| (name.clone(), size(*inode))).collect())
    }

    fn create(&self, name: &str) -> io::Result<SimFile> {
        let mut state = self.0.lock();
        state.trial()?;
        let inode = match state.names.get(name) {
            Some(inode) => *inode,
            None => {
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.names.insert(name.to_owned(), inode);
                state.changes.push(NameChange::Create(name.to_owned(), inode));
                inode
            }
        };
        // Whatever is written now is written anew.
        state.inodes[inode].data.clear();
        state.inodes[inode].forgotten.clear();
        Ok(SimFile { folder: self.clone(), inode, staged: Vec::new() })
    }

    fn read(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let state = self.0.lock();
        if state.unreadable.as_deref() == Some(name) {
            return Err(refused());
        }
        let data = &state.inodes[state.inode(name)?].data;
        let start = data.len().min(offset as usize);
        Ok(data[start..data.len().min(start + len)].to_vec())
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let mut state = self.0.lock();
        state.trial()?;
        let inode = state.inode(name)?;
        state.inodes[inode].data.resize(len as usize, 0);
        state.inodes[inode].sync();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.trial()?;
        state.counts.renames += 1;
        let inode = state.inode(from)?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), inode);
        state.changes.push(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.trial()?;
        state.counts.removes += 1;
        let inode = state.inode(name)?;
        state.names.remove(name);
        state.changes.push(NameChange::Remove(name.to_owned(), inode));
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.trial()?;
        state.counts.name_syncs += 1;
        if state.lies.1 {
            return Ok(());
        }
        state.durable_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }
}

impl SimFile {
    fn write_out(&mut self) -> io::Result<()> {
        let mut state = self.folder.0.lock();
        state.counts.writes += 1;
        let was_off = state.is_off();
        let fails = state.fails();
        let bytes = std::mem::take(&mut self.staged);
        let written = if was_off {
            0
        } else if fails {
            state.rng.random_range(0..=bytes.len())
        } else {
            bytes.len()
        };
        state.inodes[self.inode].data.extend_from_slice(&bytes[..written]);
        if fails { Err(refused()) } else { Ok(()) }
    }
}

impl Appender for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.staged.extend_from_slice(bytes);
        if self.staged.len() < STAGED_BYTES { Ok(()) } else { self.write_out() }
    }

    /// One write, as a real folder does it.
    fn append_parts(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        self.append(&parts.concat())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.write_out()?;
        let mut state = self.folder.0.lock();
        state.counts.syncs += 1;
        if state.lies.0 {
            return Ok(());
        }
        if state.is_off() {
            return Err(refused());
        }
        let fails = state.fails();
        let inode = &mut state.inodes[self.inode];
        if fails {
            let unsynced = inode.durable.len().min(inode.data.len())..inode.data.len();
            inode.forgotten.push(unsynced);
            return Err(refused());
        }
        inode.sync();
        Ok(())
    }
}
