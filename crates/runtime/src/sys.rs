//! Thin, checked wrappers over the system calls that the standard library lacks.
//!
//! Every function is one call with its errno as `io::Error`; no policy lives here.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub mod mount;
pub mod process;
pub mod socket;

pub use process::trim_heap;

pub const AT_EMPTY_PATH: u32 = libc::AT_EMPTY_PATH as u32;

/// A file descriptor number of this process that something else owns.
pub fn borrow<'a>(fd: RawFd) -> BorrowedFd<'a> {
    assert!(fd >= 0, "a file descriptor is never negative");
    // SAFETY: callers pass descriptors they keep open for as long as the borrow is used.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// The current directory for the `*at` calls.
pub fn cwd<'a>() -> BorrowedFd<'a> {
    // SAFETY: AT_FDCWD is a constant every `*at` call accepts; it is never closed.
    unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }
}

pub(crate) fn cpath(path: impl AsRef<Path>) -> io::Result<CString> {
    CString::new(path.as_ref().as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Turns the -1 convention into a `Result`.
pub(crate) fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

pub(crate) fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = check(result)? as RawFd;
    // SAFETY: the kernel has just returned this descriptor to us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// How far a path lookup may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    /// Absolute links and `..` stay below the directory; links are followed.
    InRoot,
    /// The same, but any symbolic link is refused.
    InRootNoLinks,
}

/// Opens a path below `dir` so that nothing in it can lead outside.
pub fn open_in(
    dir: BorrowedFd<'_>,
    path: &CStr,
    flags: i32,
    mode: u32,
    resolve: Resolve,
) -> io::Result<OwnedFd> {
    const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
    const RESOLVE_NO_SYMLINKS: u64 = 0x04;
    const RESOLVE_IN_ROOT: u64 = 0x10;
    let how = OpenHow {
        flags: (flags | libc::O_CLOEXEC) as u64,
        mode: u64::from(mode),
        resolve: match resolve {
            Resolve::InRoot => RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
            Resolve::InRootNoLinks => RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS,
        },
    };
    loop {
        // SAFETY: `path` and `how` live through the call; the size is that of `how`.
        let result = owned(unsafe {
            libc::syscall(
                libc::SYS_openat2,
                dir.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<OpenHow>(),
            )
        });
        match result {
            // The kernel asks to try again when a rename happened during the lookup.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => continue,
            other => return other,
        }
    }
}

/// Plain `openat` with `O_CLOEXEC`.
pub fn open_at(dir: BorrowedFd<'_>, path: &CStr, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    // SAFETY: `path` is a valid C string; the call returns a new descriptor.
    owned(unsafe {
        libc::syscall(
            libc::SYS_openat,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags | libc::O_CLOEXEC,
            mode,
        )
    })
}

pub fn open(path: impl AsRef<Path>, flags: i32) -> io::Result<OwnedFd> {
    open_at(cwd(), &cpath(path)?, flags, 0)
}

pub fn mkdir_at(dir: BorrowedFd<'_>, name: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: `name` is a valid C string.
    check(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), mode) }.into()).map(drop)
}

pub fn mknod_at(dir: BorrowedFd<'_>, name: &CStr, mode: u32, dev: u64) -> io::Result<()> {
    // SAFETY: `name` is a valid C string.
    check(unsafe { libc::mknodat(dir.as_raw_fd(), name.as_ptr(), mode, dev) }.into()).map(drop)
}

pub fn symlink_at(target: &CStr, dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    // SAFETY: both are valid C strings.
    check(unsafe { libc::symlinkat(target.as_ptr(), dir.as_raw_fd(), name.as_ptr()) }.into())
        .map(drop)
}

/// Changes the owner of what `name` is, never of what it points to.
pub fn chown_at(dir: BorrowedFd<'_>, name: &CStr, uid: u32, gid: u32) -> io::Result<()> {
    let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;
    // SAFETY: `name` is a valid C string.
    check(unsafe { libc::fchownat(dir.as_raw_fd(), name.as_ptr(), uid, gid, flags) }.into())
        .map(drop)
}

pub fn fstat(fd: BorrowedFd<'_>) -> io::Result<libc::stat> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills the whole structure when it returns 0.
    check(unsafe { libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()) }.into())?;
    // SAFETY: filled, see above.
    Ok(unsafe { stat.assume_init() })
}

/// Where an open link (`O_PATH | O_NOFOLLOW`) points.
pub fn read_link(link: BorrowedFd<'_>) -> io::Result<String> {
    let mut buffer = [0_u8; 4096];
    // SAFETY: the path is an empty C string, the buffer is valid for its length.
    let n = check(unsafe {
        libc::readlinkat(link.as_raw_fd(), c"".as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
    } as libc::c_long)?;
    Ok(String::from_utf8_lossy(&buffer[..n as usize]).into_owned())
}

/// The magic number of the file system a descriptor lies on.
pub fn fs_magic(fd: BorrowedFd<'_>) -> io::Result<i64> {
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the kernel fills the whole structure when it returns 0.
    check(unsafe { libc::fstatfs(fd.as_raw_fd(), stat.as_mut_ptr()) }.into())?;
    // SAFETY: filled, see above.
    Ok(unsafe { stat.assume_init() }.f_type)
}

pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = write(fd, bytes)?;
        bytes = &bytes[written..];
    }
    Ok(())
}

pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the slice is valid for its length.
        let n = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
        match check(n as libc::c_long) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => return other.map(|n| n as usize),
        }
    }
}

pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the slice is valid for writes of its length.
        let n = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        match check(n as libc::c_long) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => return other.map(|n| n as usize),
        }
    }
}

/// Reading end, writing end; both close on exec.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0 as RawFd; 2];
    // SAFETY: the array has room for two descriptors.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }.into())?;
    // SAFETY: the kernel has just given us both.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

pub fn dup_above(fd: BorrowedFd<'_>, lowest: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    owned(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest) }.into())
}

pub fn dup(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    dup_above(fd, 3)
}

pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no memory is passed.
    let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) }.into())?;
    let flags = flags as i32 | libc::O_NONBLOCK;
    // SAFETY: no memory is passed.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags) }.into()).map(drop)
}

pub fn clear_cloexec(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) }.into()).map(drop)
}

/// Epoll instance with level-triggered interest.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no memory is passed.
        owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into()).map(Self)
    }

    fn control(&self, op: i32, fd: BorrowedFd<'_>, events: u32) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: fd.as_raw_fd() as u64 };
        // SAFETY: `event` lives through the call.
        check(
            unsafe { libc::epoll_ctl(self.0.as_raw_fd(), op, fd.as_raw_fd(), &raw mut event) }
                .into(),
        )
        .map(drop)
    }

    pub fn add(&self, fd: BorrowedFd<'_>, events: u32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, events)
    }

    pub fn change(&self, fd: BorrowedFd<'_>, events: u32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, events)
    }

    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0)
    }

    /// Waits without a time limit; returns descriptor numbers with their events.
    pub fn wait(&self, out: &mut Vec<(RawFd, u32)>) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        // SAFETY: the array has room for 64 events.
        let n = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), 64, -1) };
        out.clear();
        match check(n.into()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
            Ok(n) => {
                out.extend(events[..n as usize].iter().map(|e| (e.u64 as RawFd, e.events)));
                Ok(())
            }
        }
    }
}

/// Readable whenever a child changed state; SIGCHLD must be blocked.
pub fn signalfd(signals: &[i32]) -> io::Result<OwnedFd> {
    let set = process::signal_set(signals);
    // SAFETY: `set` lives through the call.
    owned(
        unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) }
            .into(),
    )
}

pub fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }.into())
}

pub fn timerfd() -> io::Result<OwnedFd> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: no memory is passed.
    owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) }.into())
}

/// Fires once after `ms`; 0 disarms.
pub fn timer_set(fd: BorrowedFd<'_>, ms: u64) -> io::Result<()> {
    let value =
        libc::timespec { tv_sec: (ms / 1000) as i64, tv_nsec: (ms % 1000 * 1_000_000) as i64 };
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let spec = libc::itimerspec { it_interval: zero, it_value: value };
    // SAFETY: `spec` lives through the call; no old value is asked for.
    check(
        unsafe { libc::timerfd_settime(fd.as_raw_fd(), 0, &raw const spec, std::ptr::null_mut()) }
            .into(),
    )
    .map(drop)
}

/// inotify on one file, for `IN_MODIFY`.
pub fn inotify_modify(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = owned(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) }.into())?;
    let path = cpath(path)?;
    // SAFETY: `path` is a valid C string.
    let watch = unsafe { libc::inotify_add_watch(fd.as_raw_fd(), path.as_ptr(), libc::IN_MODIFY) };
    check(watch.into())?;
    Ok(fd)
}

/// Nanoseconds since the epoch.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| d.as_nanos() as i64)
}

/// A copy of a descriptor, for callers that keep the original.
pub fn clone_fd(fd: &impl AsFd) -> io::Result<OwnedFd> {
    dup(fd.as_fd())
}

/// Blocks until the descriptor is readable (a pidfd: until the process has ended).
pub fn wait_readable(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    loop {
        // SAFETY: one pollfd that lives through the call.
        match check(unsafe { libc::poll(&raw mut poll, 1, -1) }.into()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => return other.map(drop),
        }
    }
}

/// The number of a descriptor whose owner outlives every use of the number.
pub fn clone_raw(fd: &impl AsRawFd) -> RawFd {
    fd.as_raw_fd()
}

/// Loads a program of type BPF_PROG_TYPE_CGROUP_DEVICE.
pub fn bpf_load_device(code: &[[u8; 8]]) -> io::Result<OwnedFd> {
    const BPF_PROG_LOAD: i32 = 5;
    const CGROUP_DEVICE: u32 = 15;
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        code: u64,
        license: u64,
        rest: [u64; 12],
    }
    let load = Load {
        kind: CGROUP_DEVICE,
        count: code.len() as u32,
        code: code.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        rest: [0; 12],
    };
    // SAFETY: `load` begins like the kernel's `union bpf_attr`, its tail is zero, and the
    // instructions and the licence text outlive the call.
    owned(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const load, size_of::<Load>())
    })
}

pub fn bpf_attach_device(cgroup: RawFd, program: RawFd) -> io::Result<()> {
    const BPF_PROG_ATTACH: i32 = 8;
    const CGROUP_DEVICE: u32 = 6;
    const ALLOW_MULTI: u32 = 2;
    let attach = [cgroup as u32, program as u32, CGROUP_DEVICE, ALLOW_MULTI];
    // SAFETY: four words are the beginning of the kernel's `union bpf_attr` for this command.
    check(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, attach.as_ptr(), size_of_val(&attach))
    })
    .map(drop)
}
