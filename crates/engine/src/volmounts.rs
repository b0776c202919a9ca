//! Volumes of the local driver that are mounts: `--opt type=.. --opt o=.. --opt device=..`.
//!
//! Mounted while a container that uses them lives. Rules and texts: moby
//! `volume/local/local_unix.go`, `daemon/volumes_unix.go`; options as mount(8) words, the parser
//! as `moby/sys/mount/flags_unix.go`.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use crate::engine::Engine;
use crate::error::{Doing, EngineError, Result};
use crate::record::Record;
use crate::volumes::Volume;

type Options = BTreeMap<String, String>;

/// Refuses options that could never be mounted.
pub(crate) fn check(options: &Options) -> std::result::Result<(), String> {
    for key in options.keys() {
        match key.as_str() {
            "type" | "o" | "device" => {}
            "size" => return Err("quota size requested but no quota support".into()),
            key => return Err(format!("invalid option: \"{key}\"")),
        }
    }
    for key in ["device", "type"] {
        let missing = options.get(key).is_none_or(String::is_empty);
        if missing && !options.is_empty() {
            return Err(format!("missing required option: \"{key}\""));
        }
    }
    Ok(())
}

/// Words that are flags of mount(2); set or (with `false`) cleared.
const FLAGS: &[(&str, bool, MountFlags)] = &[
    ("ro", true, MountFlags::RDONLY),
    ("rw", false, MountFlags::RDONLY),
    ("bind", true, MountFlags::BIND),
    ("rbind", true, MountFlags::BIND.union(MountFlags::REC)),
    ("nosuid", true, MountFlags::NOSUID),
    ("suid", false, MountFlags::NOSUID),
    ("nodev", true, MountFlags::NODEV),
    ("dev", false, MountFlags::NODEV),
    ("noexec", true, MountFlags::NOEXEC),
    ("exec", false, MountFlags::NOEXEC),
    ("noatime", true, MountFlags::NOATIME),
    ("atime", false, MountFlags::NOATIME),
    ("nodiratime", true, MountFlags::NODIRATIME),
    ("relatime", true, MountFlags::RELATIME),
    ("strictatime", true, MountFlags::STRICTATIME),
    ("sync", true, MountFlags::SYNCHRONOUS),
    ("async", false, MountFlags::SYNCHRONOUS),
    ("dirsync", true, MountFlags::DIRSYNC),
    ("defaults", false, MountFlags::empty()),
];

/// Flags, and what is left for the file system itself.
fn parse(options: &str) -> (MountFlags, String) {
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    for word in options.split(',').filter(|w| !w.is_empty()) {
        match FLAGS.iter().find(|(name, _, _)| *name == word) {
            Some((_, true, flag)) => flags |= *flag,
            Some((_, false, flag)) => flags -= *flag,
            None => data.push(word),
        }
    }
    (flags, data.join(","))
}

/// A server's name becomes its address: the kernel does not look names up.
fn with_address(data: &str) -> Result<String> {
    let mut words: Vec<String> = data.split(',').map(str::to_owned).collect();
    for word in &mut words {
        let Some(host) = word.strip_prefix("addr=") else { continue };
        if host.parse::<IpAddr>().is_ok() {
            continue;
        }
        let failed = || format!("error resolving passed in network volume address {host}");
        let found = (host, 0).to_socket_addrs().doing(failed)?.next();
        let found = found.ok_or_else(|| EngineError::system(failed()))?;
        *word = format!("addr={}", found.ip());
    }
    Ok(words.join(","))
}

fn is_mounted(path: &Path) -> bool {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let point = path.to_string_lossy();
    text.lines().any(|line| line.split(' ').nth(4) == Some(&*point))
}

fn mount(volume: &Volume, options: &Options) -> Result<()> {
    let get = |key: &str| options.get(key).map_or("", String::as_str);
    let (device, kind, target) = (get("device"), get("type"), volume.mountpoint.as_path());
    if is_mounted(target) {
        return Ok(());
    }
    let (flags, data) = parse(get("o"));
    let data = if kind.starts_with("nfs") { with_address(&data)? } else { data };
    let what = || {
        format!(
            "error while mounting volume '{0}': failed to mount local volume: mount {device}:{0}, \
             flags: {1:#x}{2}",
            target.display(),
            flags.bits(),
            if data.is_empty() { String::new() } else { format!(", data: {data}") }
        )
    };
    let text = CString::new(data.as_str()).doing(what)?;
    let data_arg = (!data.is_empty()).then_some(text.as_c_str());
    rustix::mount::mount(device, target, kind, flags, data_arg).doing(what)?;
    if flags.contains(MountFlags::BIND | MountFlags::RDONLY) {
        // A bind takes its other flags only when it is mounted again.
        rustix::mount::mount_remount(target, flags, "").doing(what)?;
    }
    rustix::mount::mount_change(target, MountPropagationFlags::PRIVATE).doing(what)
}

fn options_of(volume: &Volume) -> Option<&Options> {
    volume.options.as_ref().filter(|options| !options.is_empty())
}

impl Engine {
    /// Mounts the volumes of a container that have to be.
    pub(crate) fn mount_volumes(&self, record: &Record) -> Result<()> {
        for point in record.mounts.iter().filter(|m| m.kind == "volume") {
            self.mount_volume(&self.volumes.get(&point.name)?)?;
        }
        Ok(())
    }

    pub(crate) fn mount_volume(&self, volume: &Volume) -> Result<()> {
        options_of(volume).map_or(Ok(()), |options| mount(volume, options))
    }

    /// Unmounts those that no other living container uses.
    pub(crate) fn unmount_volumes(&self, record: &Record) {
        for point in record.mounts.iter().filter(|m| m.kind == "volume") {
            let Ok(volume) = self.volumes.get(&point.name) else { continue };
            let lives = |id: &String| {
                *id != record.id
                    && self.containers.find(id).is_ok_and(|c| c.record().state.phase.is_live())
            };
            let wanted = || self.volume_users(&volume.name).iter().any(lives);
            if options_of(&volume).is_none() || !is_mounted(&volume.mountpoint) || wanted() {
                continue;
            }
            if let Err(e) = rustix::mount::unmount(&volume.mountpoint, UnmountFlags::DETACH) {
                eprintln!("engine: unmounting volume {}: {e}", volume.name);
            }
        }
    }
}

/// Takes every mount off a volume's directory. An error while one is left: what lies behind a
/// mount is not ours to delete.
pub(crate) fn uncover(dir: &Path) -> Result<()> {
    image::unmount_leftovers(dir, |_| true);
    match is_mounted(&dir.join("_data")) {
        true => Err(EngineError::conflict(format!("{} is still mounted", dir.display()))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            check(&pairs.collect())
        };
        assert_eq!(of(&[]), Ok(()));
        assert_eq!(of(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")]), Ok(()));
        assert_eq!(of(&[("type", "none")]).unwrap_err(), "missing required option: \"device\"");
        assert_eq!(of(&[("kind", "x")]).unwrap_err(), "invalid option: \"kind\"");
        let (flags, data) = parse("rbind,ro,uid=7,rw,noexec");
        assert_eq!(flags, MountFlags::BIND | MountFlags::REC | MountFlags::NOEXEC);
        assert_eq!(data, "uid=7");
        assert_eq!(with_address("addr=10.0.0.1,vers=4").unwrap(), "addr=10.0.0.1,vers=4");
    }
}
