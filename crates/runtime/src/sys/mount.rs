//! The mount calls: the classic ones and the descriptor based ones (Linux 5.12).

use super::{AT_EMPTY_PATH, check, owned};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::null;

const OPEN_TREE_CLONE: u32 = 1;
const OPEN_TREE_CLOEXEC: u32 = libc::O_CLOEXEC as u32;
const AT_RECURSIVE: u32 = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
const FSCONFIG_SET_FLAG: u32 = 0;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_CMD_CREATE: u32 = 6;

pub const ATTR_RDONLY: u64 = 0x01;
pub const ATTR_NOSUID: u64 = 0x02;
pub const ATTR_NODEV: u64 = 0x04;
pub const ATTR_NOEXEC: u64 = 0x08;
pub const ATTR_ATIME: u64 = 0x70;
pub const ATTR_NOATIME: u64 = 0x10;
pub const ATTR_STRICTATIME: u64 = 0x20;
pub const ATTR_NODIRATIME: u64 = 0x80;

/// Whether a call covers the mounts below as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    One,
    Recursive,
}

impl Depth {
    fn bits(self) -> u32 {
        match self {
            Self::One => 0,
            Self::Recursive => AT_RECURSIVE,
        }
    }
}

#[repr(C)]
#[derive(Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// A detached copy of the mount at a path (`dir` and an empty path for the descriptor itself).
pub fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, depth: Depth) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | depth.bits();
    // SAFETY: `path` is a valid C string; the call returns a new descriptor.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) })
}

/// Puts a detached mount where `target` points.
pub fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are valid empty C strings.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    })
    .map(drop)
}

/// Sets and clears mount attributes, and the propagation when it is not 0.
pub fn set_attr(
    tree: BorrowedFd<'_>,
    set: u64,
    clear: u64,
    propagation: u64,
    depth: Depth,
) -> io::Result<()> {
    let attr = MountAttr { set, clear, propagation, userns_fd: 0 };
    // SAFETY: the path is an empty C string, `attr` lives through the call and has that size.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            AT_EMPTY_PATH | depth.bits(),
            &raw const attr,
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

pub fn fsopen(kind: &CStr) -> io::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: u32 = 1;
    // SAFETY: `kind` is a valid C string.
    owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })
}

fn fsconfig(
    fs: BorrowedFd<'_>,
    command: u32,
    key: *const libc::c_char,
    value: *const libc::c_char,
) -> io::Result<()> {
    // SAFETY: callers pass null or valid C strings, as the command wants.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, fs.as_raw_fd(), command, key, value, 0) })
        .map(drop)
}

pub fn fsconfig_string(fs: BorrowedFd<'_>, key: &CStr, value: &CStr) -> io::Result<()> {
    fsconfig(fs, FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr())
}

pub fn fsconfig_flag(fs: BorrowedFd<'_>, key: &CStr) -> io::Result<()> {
    fsconfig(fs, FSCONFIG_SET_FLAG, key.as_ptr(), null())
}

pub fn fsconfig_create(fs: BorrowedFd<'_>) -> io::Result<()> {
    fsconfig(fs, FSCONFIG_CMD_CREATE, null(), null())
}

/// The configured file system as a detached mount.
pub fn fsmount(fs: BorrowedFd<'_>, attributes: u64) -> io::Result<OwnedFd> {
    const FSMOUNT_CLOEXEC: u32 = 1;
    // SAFETY: no memory is passed.
    owned(unsafe {
        libc::syscall(libc::SYS_fsmount, fs.as_raw_fd(), FSMOUNT_CLOEXEC, attributes as u32)
    })
}

/// mount(2). `data` is a comma separated option list.
pub fn classic(
    source: &CStr,
    target: &CStr,
    kind: Option<&CStr>,
    flags: u64,
    data: Option<&CStr>,
) -> io::Result<()> {
    let kind = kind.map_or(null(), CStr::as_ptr);
    let data = data.map_or(null(), CStr::as_ptr);
    // SAFETY: all pointers are null where mount(2) allows it, else valid C strings.
    check(
        unsafe {
            libc::mount(source.as_ptr(), target.as_ptr(), kind, flags as libc::c_ulong, data.cast())
        }
        .into(),
    )
    .map(drop)
}

pub fn detach(target: &CStr) -> io::Result<()> {
    // SAFETY: `target` is a valid C string.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }.into()).map(drop)
}

pub fn pivot_root(new: &CStr, old: &CStr) -> io::Result<()> {
    // SAFETY: both are valid C strings.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, new.as_ptr(), old.as_ptr()) }).map(drop)
}
