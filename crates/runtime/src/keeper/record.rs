//! What outlives the keeper: one small file per container, replaced atomically.
//!
//! Not synced to disk: a record matters only as long as the machine is up, since a reboot ends
//! every container anyway.

use crate::seen::{ContainerSeen, Exit, State};
use crate::sys;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub seen: ContainerSeen,
    /// False until `create` has been answered: such a container never existed for anybody.
    pub answered: bool,
    /// Tells the process from a later one with the same number.
    pub started_ticks: u64,
    pub boot: String,
}

#[derive(Debug)]
pub struct Records {
    dir: PathBuf,
    pub boot: String,
}

impl Records {
    pub fn open(root: &Path) -> io::Result<Self> {
        let dir = root.join("containers");
        fs::create_dir_all(&dir)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Ok(Self { dir, boot: boot.trim().to_string() })
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    pub fn save(&self, record: &Record) -> io::Result<()> {
        let path = self.path(&record.seen.id);
        let next = self.dir.join(format!(".{}", record.seen.id));
        fs::write(&next, serde_json::to_vec(record)?)?;
        fs::rename(next, path)
    }

    pub fn remove(&self, id: &str) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// All records; half-written and foreign files are left out.
    pub fn load(&self) -> io::Result<Vec<Record>> {
        let mut out = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ext| ext == "json")
                && let Ok(record) = serde_json::from_slice(&fs::read(&path)?)
            {
                out.push(record);
            }
        }
        Ok(out)
    }

    /// Whether the recorded process still runs.
    pub fn is_alive(&self, record: &Record) -> bool {
        record.boot == self.boot
            && record.seen.pid > 0
            && start_ticks(record.seen.pid) == Some(record.started_ticks)
    }
}

/// The 22nd field of `/proc/<pid>/stat`: when the process started, in clock ticks.
pub fn start_ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// The verdict on a container whose keeper died.
pub fn lost(seen: &mut ContainerSeen) {
    if seen.state != State::Exited {
        let exit = Exit { code: 137, signal: Some(9), oom: seen.oom, at: sys::now(), lost: true };
        seen.state = State::Exited;
        seen.pid = 0;
        seen.exit = Some(exit);
    }
}
