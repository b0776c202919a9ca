//! Network namespaces: make, pin, enter.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use crate::error::{Context, Error};

/// An open network namespace; it lives at least as long as this handle.
#[derive(Debug)]
pub struct Netns(OwnedFd);

impl Netns {
    /// The namespace of the calling thread.
    pub fn current() -> Result<Netns, Error> {
        Netns::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// A pinned namespace, or `/proc/PID/ns/net`.
    pub fn open(path: &Path) -> Result<Netns, Error> {
        let file = File::open(path)
            .context(|| format!("cannot open the network namespace {}", path.display()))?;
        Ok(Netns(file.into()))
    }

    /// The namespace of a process.
    pub fn of_process(pid: u32) -> Result<Netns, Error> {
        Netns::open(&PathBuf::from(format!("/proc/{pid}/ns/net")))
    }

    /// A new, empty namespace. The calling thread stays where it is.
    pub fn create() -> Result<Netns, Error> {
        let made = thread::scope(|scope| {
            let make = || {
                unshare(CloneFlags::CLONE_NEWNET)
                    .context(|| "cannot create a network namespace".into())?;
                Netns::current()
            };
            scope.spawn(make).join()
        });
        made.expect("the helper thread does not panic")
    }

    /// Keeps the namespace alive under a path (an empty file is made and mounted over).
    pub fn pin(&self, path: &Path) -> Result<(), Error> {
        let what = || format!("cannot pin a network namespace at {}", path.display());
        OpenOptions::new().write(true).create(true).truncate(false).open(path).context(what)?;
        let source = PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()));
        let none: Option<&Path> = None;
        mount(Some(&source), path, none, MsFlags::MS_BIND, none).context(what)
    }

    /// Undoes [`Netns::pin`]; a path that is not there is fine.
    pub fn unpin(path: &Path) -> Result<(), Error> {
        if !path.exists() {
            return Ok(());
        }
        // A crash between making the file and mounting over it leaves a plain file.
        let _ = umount2(path, MntFlags::MNT_DETACH);
        std::fs::remove_file(path)
            .context(|| format!("cannot remove the pinned namespace {}", path.display()))
    }

    /// Runs `work` inside the namespace, on a thread made for it. Sockets that `work` opens
    /// belong to the namespace wherever they are used later.
    pub fn run<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send,
        F: FnOnce() -> Result<T, Error> + Send,
    {
        let inside = || {
            setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET)
                .context(|| "cannot enter a network namespace".into())?;
            work()
        };
        match thread::scope(|scope| scope.spawn(inside).join()) {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
