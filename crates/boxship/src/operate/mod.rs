//! What an operator does to a control plane's data: `boxship server backup | restore | verify | rotate-key |
//! rotate-signing-key`.
//!
//! A running server is asked over a socket in its data directory, so that nothing has to stop; without one the
//! command opens the directory itself.

mod bundle;
mod socket;

pub use socket::{Plane, serve};

use crate::failure::Failure;
use crate::server::{self, data_dir, data_dir_arg};
use bundle::Bundle;
use clap::{Arg, ArgMatches, Command, value_parser};
use log::{Control, RealDisk};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use store::{Log, Store};

/// A subcommand of `server`: its arguments and what it runs.
struct Row {
    command: fn() -> Command,
    run: fn(&ArgMatches) -> Result<(), Failure>,
}

const ROWS: &[Row] = &[
    Row { command: backup_command, run: backup },
    Row { command: restore_command, run: restore },
    Row { command: verify_command, run: verify },
    Row { command: rotate_command, run: rotate },
    Row { command: signing_command, run: rotate_signing },
];

pub fn commands() -> impl Iterator<Item = Command> {
    ROWS.iter().map(|row| (row.command)())
}

/// Runs the subcommand that was asked for; `None` when none was.
pub fn run(args: &ArgMatches) -> Option<Result<ExitCode, Failure>> {
    let (name, inner) = args.subcommand()?;
    let row = ROWS.iter().find(|row| (row.command)().get_name() == name)?;
    Some((row.run)(inner).map(|()| ExitCode::SUCCESS))
}

fn file_arg() -> Arg {
    Arg::new("file").value_name("FILE").value_parser(value_parser!(PathBuf))
}

fn file(args: &ArgMatches) -> &Path {
    args.get_one::<PathBuf>("file").expect("clap requires it")
}

fn backup_command() -> Command {
    Command::new("backup")
        .about("Write everything the control plane stores to FILE, while it runs or not")
        .after_help(
            "Example:\n  boxship server backup /backups/monday\n\nFILE holds the objects; Secrets in it stay encrypted. FILE.keys holds the keys to them and the\ncluster's certificates: keep it as safe as a root password, and apart from FILE. Both are needed\nto restore. The backup is read back and checked before the command ends.",
        )
        .args([data_dir_arg(), file_arg().required(true)])
}

fn backup(args: &ArgMatches) -> Result<(), Failure> {
    let (dir, to) = (data_dir(args), file(args));
    let what = || format!("back up to `{}`", to.display());
    let fail = |e: &dyn std::fmt::Display| Failure::new(what(), e);
    let partial = with_suffix(to, ".partial");
    let out = File::create(&partial).map_err(|e| fail(&e))?;
    let mut out = BufWriter::new(out);
    match socket::ask(dir, "backup") {
        Some(answer) => drop(std::io::copy(&mut answer.map_err(|e| fail(&e))?, &mut out)),
        None => {
            let (store, control) = open(dir)?;
            control.backup(&store.view(), &mut out).map_err(|e| fail(&e))?;
        }
    }
    let out = out.into_inner().map_err(|e| fail(&e))?;
    out.sync_all().map_err(|e| fail(&e))?;
    let bundle = Bundle::collect(dir).map_err(|e| fail(&e))?;
    let (revision, objects) = checked(&partial, &bundle).map_err(|e| fail(&e))?;
    bundle.write(&with_suffix(to, ".keys")).map_err(|e| fail(&e))?;
    std::fs::rename(&partial, to).map_err(|e| fail(&e))?;
    println!("{}: {objects} objects at revision {revision}, read back and right", to.display());
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Reads a backup wholly.
fn checked(path: &Path, bundle: &Bundle) -> Result<(u64, u64), String> {
    let place = path.display().to_string();
    let from = File::open(path).map_err(|e| format!("{place}: {e}"))?;
    log::verify(&place, BufReader::new(from), &bundle.secrets()?).map_err(|e| e.message)
}

/// The store of a data directory that no server holds.
fn open(dir: &Path) -> Result<(Store, Control<RealDisk>), Failure> {
    if !dir.join("store").is_dir() {
        let what = format!("open the store in `{}`", dir.display());
        return Err(Failure::new(what, "there is none").hint("name the instance with --data-dir"));
    }
    server::open_store(dir)
}

fn restore_command() -> Command {
    Command::new("restore")
        .about("Make the data directory of a new control plane from a backup")
        .after_help(
            "Example:\n  boxship server restore /backups/monday --data-dir /var/lib/boxship\n\nThe data directory must not hold a control plane yet. Certificates and keys come from FILE.keys,\nso kubeconfigs and tokens of the old cluster stay valid. Nothing is written when the backup is\ndamaged.",
        )
        .args([data_dir_arg(), file_arg().required(true)])
}

fn restore(args: &ArgMatches) -> Result<(), Failure> {
    let (dir, from) = (data_dir(args), file(args));
    let fail = |e: &dyn std::fmt::Display| {
        Failure::new(format!("restore `{}` into `{}`", from.display(), dir.display()), e)
    };
    let bundle = Bundle::read(&with_suffix(from, ".keys")).map_err(|e| fail(&e))?;
    let (revision, objects) = checked(from, &bundle).map_err(|e| fail(&e))?;
    let secrets = bundle.secrets().map_err(|e| fail(&e))?;
    let disk = RealDisk::open(&dir.join("store")).map_err(|e| fail(&e))?;
    let mut bytes = File::open(from).map_err(|e| fail(&e))?;
    log::restore(&disk, revision, &mut bytes, &secrets).map_err(|e| fail(&e.message))?;
    bundle.unpack(dir).map_err(|e| fail(&e))?;
    println!("{}: {objects} objects at revision {revision}", dir.display());
    Ok(())
}

fn verify_command() -> Command {
    Command::new("verify")
        .about("Read a backup, or the data directory of a stopped server, and name any damage")
        .after_help(
            "Examples:\n  boxship server verify /backups/monday\n  boxship server verify --data-dir /var/lib/boxship\n\nEvery checksum is checked and every encrypted record opened. Damage is told by file and offset,\nand the command fails.",
        )
        .args([data_dir_arg(), file_arg()])
}

fn verify(args: &ArgMatches) -> Result<(), Failure> {
    let Some(path) = args.get_one::<PathBuf>("file") else {
        return verify_directory(data_dir(args));
    };
    let fail = |e: &dyn std::fmt::Display| Failure::new(format!("verify `{}`", path.display()), e);
    let bundle = Bundle::read(&with_suffix(path, ".keys")).map_err(|e| fail(&e))?;
    let (revision, objects) = checked(path, &bundle).map_err(|e| fail(&e))?;
    println!("{}: {objects} objects at revision {revision}, all right", path.display());
    Ok(())
}

fn verify_directory(dir: &Path) -> Result<(), Failure> {
    let place = dir.join("store");
    let what = || format!("verify the store in `{}`", dir.display());
    if !place.is_dir() {
        return Err(Failure::new(what(), "there is none"));
    }
    let held = "stop the server first, or verify a backup of it";
    let disk = RealDisk::open(&place).map_err(|e| Failure::new(what(), e).hint(held))?;
    let mut records = 0u64;
    let read = log::Wal::open(disk, log::Options::default()).and_then(|mut wal| {
        wal.replay(&mut |_| {
            records += 1;
            Ok(())
        })
    });
    let revision = read.map_err(|e| Failure::new(what(), e.message))?;
    println!("{}: {records} records up to revision {revision}, all right", dir.display());
    Ok(())
}

fn rotate_command() -> Command {
    Command::new("rotate-key")
        .about("Encrypt every Secret anew with a fresh key and forget the old ones")
        .after_help(
            "Example:\n  boxship server rotate-key\n\nWorks while the server runs, without an interruption. Older backups keep the keys they were made\nwith in their own FILE.keys.",
        )
        .arg(data_dir_arg())
}

fn rotate(args: &ArgMatches) -> Result<(), Failure> {
    let dir = data_dir(args);
    let fail = |e: &dyn std::fmt::Display| {
        Failure::new(format!("rotate the key of `{}`", dir.display()), e)
    };
    match socket::ask(dir, "rotate-key") {
        Some(answer) => drain(answer).map_err(|e| fail(&e))?,
        None => {
            let (store, control) = open(dir)?;
            control.rotate(&store).map_err(|e| fail(&e.message))?;
        }
    }
    println!("{}: everything is encrypted with a new key", dir.display());
    Ok(())
}

fn signing_command() -> Command {
    Command::new("rotate-signing-key")
        .about("Sign service-account tokens with a fresh key; tokens of the old one stay valid")
        .after_help(
            "Example:\n  boxship server rotate-signing-key\n\nRunning twice forgets the key before the last one, and with it the tokens it signed: wait between\nthem for as long as your longest-lived token. Works while the server runs.",
        )
        .arg(data_dir_arg())
}

fn rotate_signing(args: &ArgMatches) -> Result<(), Failure> {
    let dir = data_dir(args);
    let fail = |e: &dyn std::fmt::Display| {
        Failure::new(format!("rotate the signing key of `{}`", dir.display()), e)
    };
    match socket::ask(dir, "rotate-signing-key") {
        Some(answer) => drain(answer).map_err(|e| fail(&e))?,
        None => pki::rotate_signing_key(dir).map_err(|e| fail(&e))?,
    }
    println!("{}: tokens are signed with a new key", dir.display());
    Ok(())
}

/// Waits for the end of an answer without content.
fn drain(answer: Result<impl Read, String>) -> Result<(), String> {
    std::io::copy(&mut answer?, &mut std::io::sink()).map(drop).map_err(|e| e.to_string())
}

/// Key material: for its owner only.
fn private(path: &Path) -> std::io::Result<impl Write + use<>> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)
}
