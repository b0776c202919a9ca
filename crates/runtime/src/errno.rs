//! Errno texts in the words the Go tools use (lower case), because clients match them.

use std::io;

const WORDS: &[(i32, &str)] = &[
    (libc::EPERM, "operation not permitted"),
    (libc::ENOENT, "no such file or directory"),
    (libc::EACCES, "permission denied"),
    (libc::EBUSY, "device or resource busy"),
    (libc::EEXIST, "file exists"),
    (libc::ENODEV, "no such device"),
    (libc::ENOTDIR, "not a directory"),
    (libc::EISDIR, "is a directory"),
    (libc::EINVAL, "invalid argument"),
    (libc::ENOSPC, "no space left on device"),
    (libc::EROFS, "read-only file system"),
    (libc::ENOEXEC, "exec format error"),
    (libc::ELOOP, "too many levels of symbolic links"),
    (libc::ENAMETOOLONG, "file name too long"),
    (libc::E2BIG, "argument list too long"),
    (libc::ENOMEM, "cannot allocate memory"),
    (libc::ESRCH, "no such process"),
    (libc::EXDEV, "invalid cross-device link"),
    (libc::ETXTBSY, "text file busy"),
    (libc::EAGAIN, "resource temporarily unavailable"),
    (libc::ENOSYS, "function not implemented"),
    (libc::ENOTCONN, "socket not connected"),
    (libc::ECONNREFUSED, "connection refused"),
];

/// The text of an operating system error, else the error's own.
pub fn text(cause: &io::Error) -> String {
    match cause.raw_os_error() {
        Some(code) => name(code),
        None => cause.to_string(),
    }
}

pub fn name(code: i32) -> String {
    match WORDS.iter().find(|(known, _)| *known == code) {
        Some((_, words)) => (*words).to_string(),
        None => io::Error::from_raw_os_error(code).to_string().to_lowercase(),
    }
}
