//! A simulated disk: what was written but not synced may be lost, in part and in any order, when it crashes.

use crate::disk::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECTOR: usize = 512;

/// A disk in memory with faults on demand, all of them decided by a seed. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// An open file of a [`SimDisk`]; useless after a crash.
pub struct SimFile {
    disk: SimDisk,
    inode: usize,
    life: u64,
}

#[derive(Default)]
struct State {
    seed: u64,
    inodes: Vec<Inode>,
    /// As the program sees them, and as they are on the disk.
    names: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    /// Changes of names that are not durable yet, in order.
    renames: Vec<BTreeMap<String, usize>>,
    /// Counts crashes; files opened before the last one are stale.
    life: u64,
    crash_in: Option<u64>,
    capacity: Option<usize>,
    failing_syncs: u32,
    operations: u64,
}

#[derive(Default, Clone)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Bytes that may differ between the two.
    dirty: Option<(usize, usize)>,
}

impl SimDisk {
    pub fn new(seed: u64) -> Self {
        let state = State { seed: seed | 1, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The `count`th next write, sync or change of names fails half-done, and everything after it, until
    /// [`SimDisk::restart`].
    pub fn crash_in(&self, count: u64) {
        self.lock().crash_in = Some(count);
    }

    /// Writes, syncs and changes of names so far.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Power comes back: of everything that was not synced, any part may have reached the disk.
    pub fn restart(&self) {
        let state = &mut *self.lock();
        state.crash_in = None;
        state.life += 1;
        let kept = state.random() as usize % (state.renames.len() + 1);
        if let Some(names) = kept.checked_sub(1).map(|i| state.renames.swap_remove(i)) {
            state.durable = names;
        }
        state.renames.clear();
        state.names = state.durable.clone();
        for i in 0..state.inodes.len() {
            let inode = std::mem::take(&mut state.inodes[i]);
            state.inodes[i] = inode.torn(&mut || state.random());
        }
    }

    /// At most so many bytes in all files; `None` for no bound.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.lock().capacity = bytes;
    }

    pub fn used(&self) -> usize {
        self.lock().used()
    }

    /// The next syncs fail; what they should have made durable may or may not be.
    pub fn fail_syncs(&self, count: u32) {
        self.lock().failing_syncs = count;
    }

    /// Changes bytes behind the program's back: corruption, or (with zeros) a lost write.
    pub fn overwrite(&self, name: &str, offset: usize, bytes: &[u8]) {
        let state = &mut *self.lock();
        let Some(inode) = state.names.get(name).map(|i| &mut state.inodes[*i]) else { return };
        for copy in [&mut inode.seen, &mut inode.durable] {
            if let Some(place) = copy.get_mut(offset..offset + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
    }

    /// Cuts a file off.
    pub fn truncate(&self, name: &str, size: usize) {
        let state = &mut *self.lock();
        if let Some(inode) = state.names.get(name).map(|i| &mut state.inodes[*i]) {
            inode.seen.truncate(size);
            inode.durable.truncate(size);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rename_all(&self, change: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let state = &mut *self.lock();
        let power = state.operation()?;
        change(state)?;
        state.renames.push(state.names.clone());
        power.still_on()
    }

    fn file(&self, inode: usize) -> SimFile {
        SimFile { disk: self.clone(), inode, life: self.lock().life }
    }
}

/// Whether the machine crashes in the middle of an operation, which then may have been done.
enum Power {
    On,
    FailsNow,
}

impl Power {
    fn still_on(self) -> io::Result<()> {
        match self {
            Self::On => Ok(()),
            Self::FailsNow => Err(crashed()),
        }
    }
}

impl State {
    /// xorshift64: enough to decide what survives.
    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }

    /// Counts an operation; after the crash there are none.
    fn operation(&mut self) -> io::Result<Power> {
        if self.crash_in == Some(0) {
            return Err(crashed());
        }
        self.operations += 1;
        self.crash_in = self.crash_in.map(|left| left - 1);
        Ok(if self.crash_in == Some(0) { Power::FailsNow } else { Power::On })
    }

    fn used(&self) -> usize {
        self.names.values().map(|i| self.inodes[*i].seen.len()).sum()
    }

    fn write(&mut self, inode: usize, at: usize, bytes: &[u8]) -> io::Result<()> {
        let size = self.inodes[inode].seen.len();
        let more = (at + bytes.len()).saturating_sub(size);
        let full = self.capacity.is_some_and(|capacity| self.used() + more > capacity);
        let fits = if full { bytes.len().saturating_sub(more) } else { bytes.len() };
        // A write that crashes or hits the end of the space may have been done in part.
        let power = self.operation()?;
        self.inodes[inode].write(at, &bytes[..fits]);
        power.still_on()?;
        if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self, inode: usize) -> io::Result<()> {
        self.operation()?.still_on()?;
        if self.failing_syncs > 0 {
            self.failing_syncs -= 1;
            return Err(io::Error::other("simulated input/output error"));
        }
        self.inodes[inode].sync();
        Ok(())
    }
}

impl Inode {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.seen.len() < end {
            self.seen.resize(end, 0);
        }
        self.seen[at..end].copy_from_slice(bytes);
        let (from, to) = self.dirty.unwrap_or((at, end));
        self.dirty = Some((from.min(at), to.max(end)));
    }

    fn sync(&mut self) {
        let Some((from, to)) = self.dirty.take() else { return };
        self.durable.resize(self.seen.len(), 0);
        self.durable[from..to].copy_from_slice(&self.seen[from..to]);
    }

    /// What is left after a power failure: sector by sector, old or new.
    fn torn(self, random: &mut dyn FnMut() -> u64) -> Self {
        let Some((from, to)) = self.dirty else { return self };
        let mut left = self.durable;
        if left.len() < self.seen.len() && random().is_multiple_of(2) {
            left.resize(self.seen.len(), 0);
        }
        for start in (from / SECTOR * SECTOR..to).step_by(SECTOR) {
            let end = (start + SECTOR).min(left.len());
            if start < end && random().is_multiple_of(2) {
                left[start..end].copy_from_slice(&self.seen[start..end]);
            }
        }
        Self { seen: left.clone(), durable: left, dirty: None }
    }
}

fn crashed() -> io::Error {
    io::Error::other("the simulated machine has crashed")
}

fn missing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no {name}"))
}

impl Disk for SimDisk {
    type File = SimFile;

    fn place(&self, name: &str) -> String {
        format!("sim/{name}")
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn read(&self, name: &str, offset: u64) -> io::Result<Box<dyn Read>> {
        let state = self.lock();
        let inode = state.names.get(name).ok_or_else(|| missing(name))?;
        let bytes = state.inodes[*inode].seen.get(offset as usize..).unwrap_or_default();
        Ok(Box::new(Cursor::new(bytes.to_vec())))
    }

    fn create(&self, name: &str) -> io::Result<SimFile> {
        let mut inode = 0;
        self.rename_all(|state| {
            inode = state.inodes.len();
            state.inodes.push(Inode::default());
            state.names.insert(name.into(), inode);
            Ok(())
        })?;
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<SimFile> {
        let inode = self.lock().names.get(name).copied();
        Ok(self.file(inode.ok_or_else(|| missing(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.rename_all(|state| {
            let inode = state.names.remove(from).ok_or_else(|| missing(from))?;
            state.names.insert(to.into(), inode);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.rename_all(|state| state.names.remove(name).map(drop).ok_or_else(|| missing(name)))
    }

    fn sync_names(&self) -> io::Result<()> {
        let state = &mut *self.lock();
        state.operation()?.still_on()?;
        state.durable = state.names.clone();
        state.renames.clear();
        let used: Vec<usize> = state.names.values().copied().collect();
        let dropped = (0..state.inodes.len()).filter(|i| !used.contains(i)).collect::<Vec<_>>();
        dropped.into_iter().for_each(|i| state.inodes[i] = Inode::default());
        Ok(())
    }
}

impl SimFile {
    fn on<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let state = &mut *self.disk.lock();
        if state.life == self.life { act(state) } else { Err(crashed()) }
    }
}

impl DiskFile for SimFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.on(|state| state.write(self.inode, offset as usize, bytes))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.on(|state| state.sync(self.inode))
    }

    fn size(&self) -> io::Result<u64> {
        self.on(|state| Ok(state.inodes[self.inode].seen.len() as u64))
    }
}
