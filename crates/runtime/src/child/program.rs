//! The program: its directory, its file, the exec, in the words of Go's `os/exec` and runc
//! (`libcontainer/init_linux.go`, `standard_init_linux.go`), because docker's CLI turns them
//! into exit codes 126 and 127.

use super::Child;
use super::files::cstring;
use crate::errno;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::process;
use std::ffi::CString;
use std::io;

/// Also refuses a directory outside the root (runc's CVE-2024-21626).
pub fn chdir(path: &str) -> io::Result<()> {
    process::chdir(&cstring(path)?)?;
    match std::env::current_dir()?.is_absolute() {
        true => Ok(()),
        false => Err(io::Error::other("the directory lies outside the container")),
    }
}

/// `stat`, directory, execute permission: what Go's `findExecutable` checks.
fn executable(path: &str) -> io::Result<CString> {
    if std::fs::metadata(path)?.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    let program = cstring(path)?;
    process::can_execute(&program)?;
    Ok(program)
}

fn exec_error(name: &str, cause: &str, code: Option<i32>) -> Error {
    let kind = match code {
        Some(libc::ENOENT | libc::ENOTDIR) => ErrorKind::ExecNotFound,
        _ => ErrorKind::ExecDenied,
    };
    let message = format!("unable to start container process: exec: {name:?}: {cause}");
    Error::new(kind, message)
}

impl Child {
    pub(super) fn find_program(&mut self, name: &str, path: &str) -> Result<()> {
        if name.contains('/') {
            self.program = executable(name).map_err(|cause| {
                let stat = if cause.raw_os_error() == Some(libc::ENOENT) {
                    format!("stat {name}: ")
                } else {
                    String::new()
                };
                let text = format!("{stat}{}", errno::text(&cause));
                exec_error(name, &text, cause.raw_os_error())
            })?;
            return Ok(());
        }
        let dirs = path.split(':').map(|dir| if dir.is_empty() { "." } else { dir });
        let mut found = dirs.filter_map(|dir| executable(&format!("{dir}/{name}")).ok());
        let missing = || exec_error(name, "executable file not found in $PATH", Some(libc::ENOENT));
        self.program = found.next().ok_or_else(missing)?;
        Ok(())
    }

    /// Returns only when the kernel refuses.
    pub(super) fn execute(&self, args: &[String], env: &[String]) -> Error {
        let strings = |list: &[String]| {
            list.iter().map(|text| cstring(text)).collect::<io::Result<Vec<CString>>>()
        };
        let (args, env) = match (strings(args), strings(env)) {
            (Ok(args), Ok(env)) => (args, env),
            _ => return Error::invalid("an argument contains a NUL"),
        };
        if let Err(error) = process::set_signal_mask(&[]) {
            return Error::kernel("unblock", "signals", &error);
        }
        let cause = process::exec(&self.program, &args, &env);
        let name = super::files::shown(&self.program);
        exec_error(&name, &errno::text(&cause), cause.raw_os_error())
    }
}
