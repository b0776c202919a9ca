//! Who the process is: user, capabilities, limits, namespaces of another container.

use super::Child;
use crate::caps::{self, CapSets};
use crate::error::{Error, Result};
use crate::spec::{IdMap, Rlimit, UserMaps};
use crate::sys;
use crate::sys::process::{self, Forked};
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

pub fn drop_bounding(keep: u64) -> io::Result<()> {
    for number in (0..caps::NAMES.len() as u64).filter(|number| keep >> number & 1 == 0) {
        match process::prctl(libc::PR_CAPBSET_DROP, number) {
            // A kernel older than the capability.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// Keeps the permitted set until [`set_capabilities`] trims it.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    for fd in 0..3 {
        // So that `/dev/stdout` can be opened again by a user that is not root. Terminals and
        // devices may refuse; the streams themselves work all the same.
        let stat = sys::fstat(sys::borrow(fd))?;
        if stat.st_mode & libc::S_IFMT != libc::S_IFCHR || stat.st_rdev != NULL_DEVICE {
            let _ = sys::chown_at(sys::borrow(fd), c"", uid, u32::MAX);
        }
    }
    process::prctl(libc::PR_SET_KEEPCAPS, 1)?;
    process::set_groups(groups)?;
    process::set_gid(gid)?;
    process::set_uid(uid)
}

const NULL_DEVICE: u64 = libc::makedev(1, 3);

pub fn set_capabilities(sets: &CapSets) -> io::Result<()> {
    process::set_capabilities([sets.effective, sets.permitted, sets.inheritable])?;
    for number in (0..64).filter(|number| sets.ambient >> number & 1 == 1) {
        process::ambient_raise(number)?;
    }
    Ok(())
}

impl Child {
    pub(super) fn wire_stdio(&mut self) -> io::Result<()> {
        if let Some(terminal) = self.terminal.take() {
            for to in 0..3 {
                process::dup2(terminal.as_fd(), to)?;
            }
            return process::set_controlling_terminal(sys::borrow(0));
        }
        let Some(stdio) = self.wires.stdio.take() else { return Ok(()) };
        for (from, to) in stdio.iter().zip(0..) {
            process::dup2(from.as_fd(), to)?;
        }
        Ok(())
    }

    /// Keys are scarce; running out must not stop containers.
    pub(super) fn new_keyring(&self) -> io::Result<()> {
        match process::new_session_keyring() {
            Err(error) if error.raw_os_error() == Some(libc::EDQUOT) => {
                self.warn("session keyring left out: disk quota exceeded".to_string());
                Ok(())
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
            other => other,
        }
    }

    /// Best effort: without CAP_SYS_RESOURCE no limit can go above the keeper's own.
    pub(super) fn rlimit(&self, limit: &Rlimit) -> io::Result<()> {
        let number = crate::defaults::rlimit_number(&limit.name).unwrap_or(u32::MAX);
        match process::set_rlimit(number, limit.soft, limit.hard) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                let (_, most) = process::get_rlimit(number)?;
                let (soft, hard) = (limit.soft.min(most), limit.hard.min(most));
                self.warn(format!("ulimit {} lowered to {soft}:{hard}", limit.name));
                process::set_rlimit(number, soft, hard)
            }
            other => other,
        }
    }

    /// Best effort, for the same reason.
    pub(super) fn oom_score(&self, score: i32) -> io::Result<()> {
        let file = sys::open_at(self.proc_self.as_fd(), c"oom_score_adj", libc::O_WRONLY, 0)?;
        if let Err(cause) = sys::write_all(file.as_fd(), score.to_string().as_bytes()) {
            let cause = crate::errno::text(&cause);
            self.warn(format!("oom score {score} left out: {cause}"));
        }
        Ok(())
    }

    /// Every namespace of a running process; the process namespace was the keeper's part.
    pub(super) fn enter_container(&self, pid: i32) -> io::Result<()> {
        let gone = || io::Error::from_raw_os_error(libc::ESRCH);
        let target = self.wires.target.as_ref().ok_or_else(gone)?;
        let mut kinds = libc::CLONE_NEWNS
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP;
        let user = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/user"));
        if user("self")? != user(&pid.to_string())? {
            kinds |= libc::CLONE_NEWUSER;
        }
        process::setns(target.as_fd(), kinds)
    }

    /// A process cannot map more than its own id itself: a helper that stays outside does.
    pub(super) fn enter_user(&self, maps: &UserMaps) -> Result<()> {
        let fail = |e: io::Error| Error::kernel("enter", "user namespace", &e);
        let (go_read, go_write) = sys::pipe().map_err(fail)?;
        match process::fork(0, None).map_err(fail)? {
            Forked::Child => {
                drop(go_write);
                let done = sys::read(go_read.as_fd(), &mut [0; 1]).is_ok_and(|n| n == 1)
                    && write_maps(self.proc_self.as_fd(), maps).is_ok();
                process::exit_now(i32::from(!done))
            }
            Forked::Parent(pid) => {
                process::unshare(libc::CLONE_NEWUSER).map_err(fail)?;
                sys::write_all(go_write.as_fd(), b"g").map_err(fail)?;
                match process::wait(pid).map_err(fail)? {
                    0 => {}
                    _ => return Err(Error::invalid("the user namespace's mappings are refused")),
                }
                process::set_gid(0).and_then(|()| process::set_uid(0)).map_err(fail)
            }
        }
    }
}

fn write_maps(proc_self: BorrowedFd<'_>, maps: &UserMaps) -> io::Result<()> {
    for (file, maps) in [(c"gid_map", &maps.gids), (c"uid_map", &maps.uids)] {
        let file = sys::open_at(proc_self, file, libc::O_WRONLY, 0)?;
        sys::write_all(file.as_fd(), map_text(maps).as_bytes())?;
    }
    Ok(())
}

fn map_text(maps: &[IdMap]) -> String {
    maps.iter().fold(String::new(), |mut out, map| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{} {} {}", map.container, map.host, map.size);
        out
    })
}
