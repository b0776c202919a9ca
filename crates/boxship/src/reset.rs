//! `boxship reset`: removes everything of one instance and leaves nothing behind.

use crate::command::Row;
use crate::engine::name_arg;
use crate::failure::Failure;
use crate::presence;
use crate::server::{data_dir, data_dir_arg};
use clap::{ArgMatches, Command};
use net::Instance;
use runtime_crate::{Keeper, Runtime};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub static ROW: Row = Row { command, run };

fn command() -> Command {
    Command::new("reset")
        .about("Remove an instance wholly: containers, networks, firewall tables, data")
        .after_help(
            "Examples:\n  boxship reset\n  boxship reset --name try --data-dir /tmp/try\n\nThe instance must not be running.",
        )
        .args([data_dir_arg(), name_arg()])
}

fn run(args: &ArgMatches) -> Result<ExitCode, Failure> {
    let name: &String = args.get_one("name").expect("it has a default");
    let dir = data_dir(args);
    refuse_if_running(dir)?;
    for root in [dir.join("keeper"), dir.join("engine/keeper")] {
        end_keeper(&root)?;
    }
    let instance = Instance::new(name);
    let what = |what: &str| format!("remove the {what} of instance {name:?}");
    instance.retain(|_| false).map_err(|e| Failure::new(what("links"), e))?;
    net::remove_tables(&instance).map_err(|e| Failure::new(what("firewall tables"), e))?;
    for cgroup in cgroups(name) {
        remove_cgroup(&cgroup)
            .map_err(|e| Failure::new(format!("remove the cgroup `{}`", cgroup.display()), e))?;
    }
    forget_contexts(dir)?;
    unmount_below(dir);
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("remove `{}`", dir.display()), e))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Takes the instance out of the kubeconfigs of those who started it.
fn forget_contexts(dir: &Path) -> Result<(), Failure> {
    let record = presence::record(dir).unwrap_or_default();
    for entry in record["kubeconfigs"].as_array().into_iter().flatten() {
        let (Some(path), Some(context)) = (entry["path"].as_str(), entry["context"].as_str())
        else {
            continue;
        };
        pki::remove_context(Path::new(path), context)
            .map_err(|e| Failure::new(format!("forget the context {context:?}"), e))?;
    }
    Ok(())
}

/// The store's lock says whether a server holds the directory.
fn refuse_if_running(dir: &Path) -> Result<(), Failure> {
    let store = dir.join("store");
    if !store.exists() {
        return Ok(());
    }
    log::RealDisk::open(&store).map(drop).map_err(|e| {
        Failure::new(format!("reset `{}`", dir.display()), e)
            .hint("stop the instance first (SIGTERM to `boxship up`)")
    })
}

/// The keeper kills its containers and goes; without one there is nothing to end.
pub fn end_keeper(root: &Path) -> Result<(), Failure> {
    let Ok(keeper) = Keeper::connect(root) else { return Ok(()) };
    let what = || format!("end the containers below `{}`", root.display());
    let seen = keeper.observe().map_err(|e| Failure::new(what(), e))?;
    for container in seen.containers {
        keeper.delete(&container.id).map_err(|e| Failure::new(what(), e))?;
    }
    for sandbox in seen.sandboxes {
        keeper.delete_sandbox(&sandbox.id).map_err(|e| Failure::new(what(), e))?;
    }
    runtime_crate::stop(&keeper).map_err(|e| Failure::new(what(), e))
}

/// The instance's cgroup in every hierarchy that has one; of v1 there are several.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines()
        .filter(|line| line.contains(" - cgroup ") || line.contains(" - cgroup2 "))
        .filter_map(|line| line.split(' ').nth(4))
        .map(|mount| Path::new(mount).join(name))
        .filter(|path| path.is_dir())
        .collect()
}

/// Cgroups are removed from the leaves up; their files go with them.
fn remove_cgroup(path: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let child = entry?.path();
        if child.is_dir() {
            remove_cgroup(&child)?;
        }
    }
    match std::fs::remove_dir(path) {
        // The same hierarchy under a second mount point has it no more.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Shared memory and in-memory volumes are mounts below the data directory; the deepest goes first.
fn unmount_below(dir: &Path) {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut mounts: Vec<PathBuf> = text
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|path| path.starts_with(dir))
        .collect();
    mounts.sort();
    for mount in mounts.iter().rev() {
        // One that stays is named by the removal of the directory that follows.
        let _ = nix::mount::umount2(mount, nix::mount::MntFlags::MNT_DETACH);
    }
}
