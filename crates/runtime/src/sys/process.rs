//! Processes: clone, namespaces, identities, capabilities, signals, limits, terminals.

use super::{borrow, check, owned};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Which side of a clone we are on.
#[derive(Debug)]
pub enum Forked {
    Child,
    Parent(i32),
}

#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// A clone that behaves like fork: the child gets a copy of everything.
///
/// Callers must be single-threaded, so that no lock is held by a thread the child lacks. Only a child that is born
/// in a cgroup needs clone3, which seccomp profiles answer with ENOSYS, as they cannot look at its arguments.
pub fn fork(flags: i32, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    let pid = match cgroup {
        Some(cgroup) => clone_into(flags, cgroup)?,
        None => clone_plain(flags)?,
    };
    match pid {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(pid as i32)),
    }
}

fn clone_plain(flags: i32) -> io::Result<i64> {
    let flags = flags | libc::SIGCHLD;
    // SAFETY: no memory is shared with the child (no CLONE_VM) and no stack is given, so it runs on a copy of this
    // one; the process is single-threaded, so the child may go on running Rust code.
    check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })
}

fn clone_into(flags: i32, cgroup: BorrowedFd<'_>) -> io::Result<i64> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut args = CloneArgs {
        flags: flags as u64 | CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: cgroup.as_raw_fd() as u64,
        ..CloneArgs::default()
    };
    // SAFETY: no memory is shared with the child (no CLONE_VM), `args` outlives the
    // call, and the process is single-threaded, so the child may go on running Rust code.
    check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) })
}

pub fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::unshare(flags) }.into()).map(drop)
}

pub fn setns(fd: BorrowedFd<'_>, kinds: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::setns(fd.as_raw_fd(), kinds) }.into()).map(drop)
}

pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

pub fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// A child that has ended: pid and wait status; `None` when none is waiting.
pub fn reap() -> io::Result<Option<(i32, i32)>> {
    let mut status = 0;
    // SAFETY: `status` lives through the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL) };
    match check(pid.into()) {
        Ok(0) => Ok(None),
        Ok(pid) => Ok(Some((pid as i32, status))),
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits for one child; its wait status.
pub fn wait(pid: i32) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: `status` lives through the call.
        match check(unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) }.into()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => return other.map(|_| status),
        }
    }
}

/// Ends the process at once, without destructors or flushes.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: never returns and touches no memory.
    unsafe { libc::_exit(code) }
}

pub fn signal_set(signals: &[i32]) -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set; the numbers are valid signals.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

/// Blocks exactly these signals.
pub fn set_signal_mask(signals: &[i32]) -> io::Result<()> {
    let set = signal_set(signals);
    // SAFETY: `set` lives through the call; the old mask is not asked for.
    check(
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) }
            .into(),
    )
    .map(drop)
}

/// Default action for every signal: a program must not inherit what our runtime ignores.
pub fn reset_signals() {
    // The kernel's own structure: libc hides signals 32 and 33. All zeros is SIG_DFL.
    let action = [0_u64; 4];
    let none: *mut u64 = std::ptr::null_mut();
    for signal in 1..=64 {
        // SAFETY: restoring defaults installs no handler; SIGKILL and SIGSTOP fail harmlessly.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), none, 8) };
    }
}

/// prctl with integer arguments.
pub fn prctl(option: i32, argument: u64) -> io::Result<i32> {
    let zero: libc::c_ulong = 0;
    // SAFETY: only options with integer arguments are used by this crate.
    check(unsafe { libc::prctl(option, argument as libc::c_ulong, zero, zero, zero) }.into())
        .map(|n| n as i32)
}

pub fn ambient_raise(capability: u8) -> io::Result<()> {
    let zero: libc::c_ulong = 0;
    let capability = libc::c_ulong::from(capability);
    let raise = libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong;
    // SAFETY: integers only.
    check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, capability, zero, zero) }.into())
        .map(drop)
}

pub fn set_name(name: &CStr) -> io::Result<()> {
    // SAFETY: `name` is a valid C string; the kernel copies at most 16 bytes.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }.into()).map(drop)
}

pub fn set_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: the slice is valid for its length.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

pub fn set_gid(gid: u32) -> io::Result<()> {
    // SAFETY: integers only; the process is single-threaded.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

pub fn set_uid(uid: u32) -> io::Result<()> {
    // SAFETY: integers only; the process is single-threaded.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

/// `[effective, permitted, inheritable]` as bit masks.
pub fn set_capabilities(sets: [u64; 3]) -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = CapHeader { version: VERSION_3, pid: 0 };
    let low = sets.map(|set| set as u32);
    let high = sets.map(|set| (set >> 32) as u32);
    let data = [low, high];
    // SAFETY: version 3 reads two triples of 32 bits, exactly what `data` holds.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

pub fn set_rlimit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` lives through the call.
    check(unsafe { libc::setrlimit(resource, &raw const limit) }.into()).map(drop)
}

pub fn get_rlimit(resource: u32) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` lives through the call.
    check(unsafe { libc::getrlimit(resource, &raw mut limit) }.into())?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

pub fn set_host_name(name: &str) -> io::Result<()> {
    // SAFETY: the slice is valid for its length.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }.into()).map(drop)
}

pub fn set_domain_name(name: &str) -> io::Result<()> {
    // SAFETY: the slice is valid for its length.
    check(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) }.into()).map(drop)
}

pub fn set_sid() -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::setsid() }.into()).map(drop)
}

pub fn umask(mask: u32) {
    // SAFETY: cannot fail, integers only.
    unsafe { libc::umask(mask) };
}

pub fn chdir(path: &CStr) -> io::Result<()> {
    // SAFETY: `path` is a valid C string.
    check(unsafe { libc::chdir(path.as_ptr()) }.into()).map(drop)
}

pub fn fchdir(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::fchdir(fd.as_raw_fd()) }.into()).map(drop)
}

pub fn dup2(from: BorrowedFd<'_>, to: RawFd) -> io::Result<()> {
    if from.as_raw_fd() == to {
        return super::clear_cloexec(borrow(to));
    }
    // SAFETY: `to` is one of the standard descriptors, which nothing in the child owns.
    check(unsafe { libc::dup2(from.as_raw_fd(), to) }.into()).map(drop)
}

/// Closes every descriptor that is not in `keep` (in any order).
pub fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().map(|fd| *fd as u32).collect();
    keep.sort_unstable();
    let mut first = 0;
    for fd in keep {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = first.max(fd + 1);
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: runs in a freshly forked child that never drops values owning those descriptors.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// A new anonymous session keyring, so that keys do not leak between containers.
pub fn new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: u32 = 1;
    let name: *const libc::c_char = std::ptr::null();
    // SAFETY: a null name asks for an anonymous keyring.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) }).map(drop)
}

/// Installs a seccomp program (an array of `struct sock_filter`).
pub fn set_seccomp(program: &[[u8; 8]]) -> io::Result<()> {
    #[repr(C)]
    struct Program {
        len: u16,
        filter: *const [u8; 8],
    }
    const SECCOMP_SET_MODE_FILTER: u32 = 1;
    let program = Program { len: program.len() as u16, filter: program.as_ptr() };
    // SAFETY: `program` points at `len` instructions that outlive the call; the kernel checks
    // and copies them.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    })
    .map(drop)
}

/// Null terminated list of pointers into `strings`, for exec.
fn pointers(strings: &[std::ffi::CString]) -> Vec<*const libc::c_char> {
    let mut out: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
    out.push(std::ptr::null());
    out
}

/// Replaces the program; returns only on failure.
pub fn exec(program: &CStr, args: &[std::ffi::CString], env: &[std::ffi::CString]) -> io::Error {
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both lists are null terminated arrays of valid C strings.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// The same for an open program file.
pub fn exec_fd(fd: BorrowedFd<'_>, args: &[std::ffi::CString]) -> io::Error {
    let args = pointers(args);
    let env: [*const libc::c_char; 1] = [std::ptr::null()];
    // SAFETY: both lists are null terminated arrays of valid C strings; the path is empty.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_raw_fd(),
            c"".as_ptr(),
            args.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

/// access(2) with the effective ids.
pub fn can_execute(path: &CStr) -> io::Result<()> {
    // SAFETY: `path` is a valid C string.
    check(
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) }
            .into(),
    )
    .map(drop)
}

/// Unlocks a terminal master and opens its other side without using any path.
pub fn pty_peer(master: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    const TIOCGPTPEER: libc::c_ulong = 0x5441;
    let zero: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const zero) }.into())?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes flags by value and returns a new descriptor.
    owned(unsafe { libc::ioctl(master.as_raw_fd(), TIOCGPTPEER, flags) }.into())
}

pub fn set_window(fd: BorrowedFd<'_>, rows: u16, cols: u16) -> io::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }.into())
        .map(drop)
}

pub fn set_controlling_terminal(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes an integer.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSCTTY, 0) }.into()).map(drop)
}

/// Brings `lo` up in the current network namespace.
pub fn loopback_up() -> io::Result<()> {
    // SAFETY: no memory is passed.
    let socket = owned(
        unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }.into(),
    )?;
    // SAFETY: an all-zero ifreq is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into())
        .map(drop)
}

/// Gives freed memory back to the kernel.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: has no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Waits for one of these (blocked) signals; whether the kernel itself sent it.
pub fn next_signal(signals: &[i32]) -> io::Result<(i32, bool)> {
    const SI_KERNEL: i32 = 0x80;
    let set = signal_set(signals);
    // SAFETY: an all-zero siginfo is valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` and `info` live through the call.
    let signal = check(unsafe { libc::sigwaitinfo(&raw const set, &raw mut info) }.into())?;
    Ok((signal as i32, info.si_code == SI_KERNEL))
}

/// Docker's exit code (128 plus the signal) and the signal, from a wait status.
pub fn exit_code(status: i32) -> (i32, Option<i32>) {
    match libc::WIFSIGNALED(status) {
        true => (128 + libc::WTERMSIG(status), Some(libc::WTERMSIG(status))),
        false => (libc::WEXITSTATUS(status), None),
    }
}
