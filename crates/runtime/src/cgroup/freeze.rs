//! The freezer: pause and unpause.

use super::Layout;
use crate::error::{Error, Result};
use std::fs;
use std::path::PathBuf;

/// The file, what freezes, what thaws.
fn file(layout: &Layout, cgroup: &str) -> Option<(PathBuf, [&'static str; 2])> {
    let dir = layout.dir("freezer", cgroup)?;
    match layout.is_v2() {
        true => Some((dir.join("cgroup.freeze"), ["1", "0"])),
        false => Some((dir.join("freezer.state"), ["FROZEN", "THAWED"])),
    }
}

/// Whether the container is frozen or on its way there.
pub fn is_frozen(layout: &Layout, cgroup: &str) -> bool {
    let Some((file, _)) = file(layout, cgroup) else { return false };
    let state = fs::read_to_string(file).unwrap_or_default();
    matches!(state.trim(), "FROZEN" | "FREEZING" | "1")
}

pub fn thaw(layout: &Layout, cgroup: &str) -> Result<()> {
    let (file, [_, off]) = file(layout, cgroup).ok_or_else(no_freezer)?;
    fs::write(&file, off).map_err(|e| Error::kernel("thaw", file.display(), &e))
}

/// Returns when every process stands still; gives up (thawed again) when they do not.
pub fn freeze(layout: &Layout, cgroup: &str) -> Result<()> {
    let (file, [on, off]) = file(layout, cgroup).ok_or_else(no_freezer)?;
    let fail = |e| Error::kernel("freeze", file.display(), &e);
    for attempt in 0..200 {
        fs::write(&file, on).map_err(fail)?;
        if is_still(layout, cgroup) {
            return Ok(());
        }
        // v1 tells nobody when it is done, and a process that forks meanwhile may need
        // another write; runc does the same.
        std::thread::sleep(std::time::Duration::from_micros(100 * (attempt + 1)));
    }
    let _ = fs::write(&file, off);
    Err(Error::kernel("freeze", cgroup, &std::io::Error::from_raw_os_error(libc::EBUSY)))
}

fn is_still(layout: &Layout, cgroup: &str) -> bool {
    let Some(dir) = layout.dir("freezer", cgroup) else { return false };
    let (file, word) = match layout.is_v2() {
        true => ("cgroup.events", "frozen 1"),
        false => ("freezer.state", "FROZEN"),
    };
    fs::read_to_string(dir.join(file)).is_ok_and(|text| text.lines().any(|line| line == word))
}

fn no_freezer() -> Error {
    Error::invalid("this machine has no cgroup freezer")
}
