//! `boxship up --detach`: the same command again, as a daemon that writes its log into the data directory.

use crate::failure::Failure;
use crate::server::data_dir;
use clap::{Arg, ArgAction, ArgMatches};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

pub fn arg() -> Arg {
    Arg::new("detach")
        .long("detach")
        .short('d')
        .action(ArgAction::SetTrue)
        .help("Return when it is ready; `boxship down` ends it, `boxship logs` shows its log")
}

/// The daemon's log.
pub fn log_path(dir: &Path) -> PathBuf {
    dir.join("log")
}

/// A log longer than this is put aside at the next start.
const LONG: u64 = 10 << 20;

fn open_log(dir: &Path) -> std::io::Result<File> {
    let path = log_path(dir);
    std::fs::create_dir_all(dir)?;
    if std::fs::metadata(&path).is_ok_and(|m| m.len() > LONG) {
        std::fs::rename(&path, path.with_extension("1"))?;
    }
    File::options().create(true).append(true).open(path)
}

/// Starts the daemon and waits until it is ready.
pub fn run(args: &ArgMatches) -> Result<ExitCode, Failure> {
    let dir = data_dir(args);
    let what = || format!("start a daemon in `{}`", dir.display());
    let failed = |e: std::io::Error| Failure::new(what(), e);
    let log = open_log(dir).map_err(failed)?;
    let before = log.metadata().map_or(0, |m| m.len());
    let mut child = daemon(log).map_err(failed)?;
    let stdout = child.stdout.take().ok_or_else(|| Failure::new(what(), "it has no output"))?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
    if line.starts_with("ready in ") {
        print!("{line}");
        return Ok(ExitCode::SUCCESS);
    }
    child.wait().map_err(failed)?;
    let text = std::fs::read(log_path(dir)).unwrap_or_default();
    let said = text.get(usize::try_from(before).unwrap_or(0)..).unwrap_or_default();
    eprint!("{}", String::from_utf8_lossy(said));
    Ok(ExitCode::FAILURE)
}

/// A session of its own: neither the terminal's end nor its Ctrl-C reaches it.
fn daemon(log: File) -> std::io::Result<std::process::Child> {
    let own: Vec<OsString> =
        std::env::args_os().skip(1).filter(|arg| *arg != "-d" && *arg != "--detach").collect();
    // setsid(1) is not everywhere, and a hook between fork and exec would be unsafe code: the daemon does it itself.
    Command::new(std::env::current_exe()?)
        .args(own)
        .env(OWN_SESSION, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
}

const OWN_SESSION: &str = "BOXSHIP_OWN_SESSION";

/// The daemon's side of [`run`].
pub fn leave_the_terminal() {
    if std::env::var_os(OWN_SESSION).is_some() {
        // Only a group's leader cannot, and that one has a group of its own already.
        let _ = nix::unistd::setsid();
    }
}
