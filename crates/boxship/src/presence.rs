//! What a running instance leaves in its data directory for the commands that ask after it.
//!
//! `instance.lock` is locked as long as the daemon runs, however it ends; `instance.json` says what it is.

use crate::failure::Failure;
use serde_json::Value;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

const LOCK: &str = "instance.lock";
const RECORD: &str = "instance.json";

/// Held by the daemon.
pub struct Claim {
    _lock: File,
    record: PathBuf,
}

impl Claim {
    /// Makes the directory this daemon's.
    pub fn take(dir: &Path) -> Result<Self, Failure> {
        let what = || format!("start an instance in `{}`", dir.display());
        let failed = |e: &dyn std::fmt::Display| Failure::new(what(), e);
        std::fs::create_dir_all(dir)
            .map_err(|e| failed(&e).hint("an instance with a node needs root"))?;
        let lock = open(dir).map_err(|e| failed(&e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock, record: dir.join(RECORD) }),
            Err(TryLockError::WouldBlock) => {
                Err(failed(&"an instance runs there already").hint(RUNS))
            }
            Err(TryLockError::Error(e)) => Err(failed(&e)),
        }
    }

    /// Says what runs here, when it is ready.
    pub fn announce(&self, record: &Value) -> Result<(), Failure> {
        let new = self.record.with_extension("json.new");
        let written = std::fs::write(&new, format!("{record:#}\n"));
        written
            .and_then(|()| std::fs::rename(&new, &self.record))
            .map_err(|e| Failure::new(format!("write `{}`", self.record.display()), e))
    }
}

const RUNS: &str = "`boxship status` shows it; another one needs its own --name, --data-dir, --listen and --docker-host";

fn open(dir: &Path) -> std::io::Result<File> {
    File::options().create(true).append(true).open(dir.join(LOCK))
}

/// What is known of the instance in a directory.
pub enum Presence {
    /// It runs; its record.
    Running(Value),
    Stopped,
    /// There is no instance in this directory.
    Nothing,
}

pub fn of(dir: &Path) -> Result<Presence, Failure> {
    let failed = |e: &dyn std::fmt::Display| {
        Failure::new(format!("look at the instance in `{}`", dir.display()), e)
    };
    if !dir.join(LOCK).exists() {
        return Ok(Presence::Nothing);
    }
    match open(dir).map_err(|e| failed(&e))?.try_lock() {
        Ok(()) => return Ok(Presence::Stopped),
        Err(TryLockError::Error(e)) => return Err(failed(&e)),
        Err(TryLockError::WouldBlock) => {}
    }
    match record(dir) {
        Some(record) => Ok(Presence::Running(record)),
        None => Err(failed(&"it is just starting").hint("try again in a second")),
    }
}

/// What the instance last said of itself, running or not.
pub fn record(dir: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(dir.join(RECORD)).ok()?).ok()
}

/// Waits until the daemon is gone.
pub fn wait_for_end(dir: &Path) -> Result<(), Failure> {
    let ended = open(dir).and_then(|lock| lock.lock());
    ended.map_err(|e| Failure::new(format!("wait for the instance in `{}`", dir.display()), e))
}
