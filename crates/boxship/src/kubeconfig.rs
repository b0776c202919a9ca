//! The kubeconfig of the person who starts an instance: one context is added to it, the others stay.

use crate::failure::Failure;
use clap::{Arg, ArgAction, ArgMatches};
use nix::unistd::{Gid, Uid, User};
use std::fs::File;
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// A context in a file.
pub struct Entry {
    pub path: PathBuf,
    pub context: String,
}

pub fn arg() -> Arg {
    Arg::new("no-kubeconfig")
        .long("no-kubeconfig")
        .action(ArgAction::SetTrue)
        .help("Leave your kubeconfig alone (as --write-kubeconfig does)")
}

/// The data directory's own file, for the commands that look after the instance, and the user's unless it shall be
/// left alone.
pub fn entries(args: &ArgMatches, name: &str, dir: &Path) -> Vec<Entry> {
    let own = Entry { path: dir.join("kubeconfig"), context: "boxship".into() };
    let elsewhere = args.contains_id("write-kubeconfig") || args.get_flag("no-kubeconfig");
    let context = if name == "boxship" { name.into() } else { format!("boxship-{name}") };
    let users = users_file().filter(|_| !elsewhere).map(|path| Entry { path, context });
    std::iter::once(own).chain(users).collect()
}

/// Who called sudo, if somebody did.
fn caller() -> Option<User> {
    let uid = std::env::var("SUDO_UID").ok()?.parse().ok()?;
    User::from_uid(Uid::from_raw(uid)).ok().flatten()
}

/// Where kubectl writes: the first file of `$KUBECONFIG`, else `~/.kube/config`.
fn users_file() -> Option<PathBuf> {
    let listed = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty());
    let first =
        listed.and_then(|list| std::env::split_paths(&list).find(|p| !p.as_os_str().is_empty()));
    let home = || caller().map(|user| user.dir).or_else(|| Some(std::env::var_os("HOME")?.into()));
    first.or_else(|| Some(home()?.join(".kube/config")))
}

/// Makes a missing file as its owner's, so that what root writes into it stays readable for them.
pub fn prepare(path: &Path) -> Result<(), Failure> {
    let owner = caller().map(|user| (user.uid, user.gid));
    let make = || -> std::io::Result<()> {
        if path.exists() {
            return Ok(());
        }
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            std::fs::create_dir_all(parent)?;
            give(&File::open(parent)?, owner)?;
        }
        give(&File::options().create(true).append(true).mode(0o600).open(path)?, owner)
    };
    make().map_err(|e| Failure::new(format!("write the kubeconfig `{}`", path.display()), e))
}

fn give(file: &File, owner: Option<(Uid, Gid)>) -> std::io::Result<()> {
    match owner {
        Some((uid, gid)) => fchown(file, Some(uid.as_raw()), Some(gid.as_raw())),
        None => Ok(()),
    }
}
