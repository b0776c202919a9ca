//! Where mounts come from: `-v`, `--mount`, `--tmpfs`, `--volumes-from` and the image's volumes.
//!
//! Pure: says what is wanted and in which order; `create` makes the volumes. Rules and texts:
//! moby `volume/mounts/linux_parser.go`.

use std::collections::BTreeMap;

use crate::config::{BindOptions, Config, Dict, HostConfig, Mount, items};
use crate::error::{EngineError, Result};
use crate::ident::is_name;
use crate::record::MountPoint;

/// All mounts of a new container by destination; later sources win over earlier ones as in
/// moby's `registerMountPoints`: image volumes < volumes-from < binds < mounts.
pub fn wanted(
    config: &Config,
    host: &HostConfig,
    inherited: Vec<MountPoint>,
) -> Result<Vec<MountPoint>> {
    let mut by_target: BTreeMap<String, MountPoint> = BTreeMap::new();
    for mount in inherited {
        by_target.insert(mount.destination.clone(), mount);
    }
    let mut explicit: BTreeMap<String, MountPoint> = BTreeMap::new();
    let binds = items(&host.binds).iter().map(|b| parse_bind(b));
    let mounts = items(&host.mounts).iter().map(from_mount);
    let tmpfs = host.tmpfs.iter().flatten().map(|(target, options)| from_tmpfs(target, options));
    for mount in binds.chain(mounts).chain(tmpfs) {
        let mount = mount?;
        let target = mount.destination.clone();
        if explicit.insert(target.clone(), mount).is_some() {
            return Err(EngineError::invalid(format!("Duplicate mount point: {target}")));
        }
    }
    by_target.extend(explicit);
    for target in config.volumes.iter().flatten().map(|(t, _)| t) {
        let volume = from_image_volume(target)?;
        by_target.entry(volume.destination.clone()).or_insert(volume);
    }
    Ok(by_target.into_values().collect())
}

fn bad_spec<T>(spec: &str) -> Result<T> {
    Err(EngineError::invalid(format!("invalid volume specification: '{spec}'")))
}

/// `target`, `source:target` or `source:target:mode`.
pub fn parse_bind(spec: &str) -> Result<MountPoint> {
    let parts: Vec<&str> = spec.split(':').collect();
    if parts.iter().any(|p| p.is_empty()) {
        return bad_spec(spec);
    }
    let (source, target, mode) = match parts[..] {
        [target] => ("", target, ""),
        [source, target] => (source, target, ""),
        [source, target, mode] => (source, target, mode),
        _ => return bad_spec(spec),
    };
    let mut mount = MountPoint {
        destination: clean_target(target)
            .map_err(|e| e.context(&format!("invalid volume specification: '{spec}'")))?,
        mode: mode.to_owned(),
        writable: true,
        ..MountPoint::default()
    };
    apply_mode(&mut mount, mode)?;
    if source.starts_with('/') {
        bind_source(&mut mount, source);
    } else {
        volume_source(&mut mount, source)?;
        mount.copy_up = !mode.split(',').any(|m| m == "nocopy");
    }
    Ok(mount)
}

fn apply_mode(mount: &mut MountPoint, mode: &str) -> Result<()> {
    for word in mode.split(',').filter(|w| !w.is_empty()) {
        match word {
            "ro" => mount.writable = false,
            "rw" | "z" | "Z" | "nocopy" | "consistent" | "cached" | "delegated" => {}
            "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared" => {
                word.clone_into(&mut mount.propagation);
            }
            _ => return Err(EngineError::invalid(format!("invalid mode: {mode}"))),
        }
    }
    Ok(())
}

fn bind_source(mount: &mut MountPoint, source: &str) {
    mount.kind = "bind".to_owned();
    mount.source = clean(source);
    if mount.propagation.is_empty() {
        mount.propagation = "rprivate".to_owned();
    }
}

fn volume_source(mount: &mut MountPoint, name: &str) -> Result<()> {
    if !name.is_empty() && !is_name(name) {
        return Err(EngineError::invalid(format!(
            "\"{name}\" includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, \
             use absolute path"
        )));
    }
    mount.kind = "volume".to_owned();
    mount.driver = "local".to_owned();
    mount.name = name.to_owned();
    mount.anonymous = name.is_empty();
    Ok(())
}

fn from_image_volume(target: &str) -> Result<MountPoint> {
    let mut mount = MountPoint {
        destination: clean_target(target)?,
        writable: true,
        copy_up: true,
        ..MountPoint::default()
    };
    volume_source(&mut mount, "")?;
    Ok(mount)
}

fn from_tmpfs(target: &str, options: &str) -> Result<MountPoint> {
    Ok(MountPoint {
        kind: "tmpfs".to_owned(),
        destination: clean_target(target)?,
        writable: !options.split(',').any(|o| o == "ro"),
        options: options.to_owned(),
        mode: options.to_owned(),
        ..MountPoint::default()
    })
}

fn from_mount(wanted: &Mount) -> Result<MountPoint> {
    let bad = |why: &str| {
        EngineError::invalid(format!("invalid mount config for type \"{}\": {why}", wanted.kind))
    };
    let mut mount = MountPoint {
        destination: clean_target(&wanted.target).map_err(|e| bad(&e.message))?,
        writable: !wanted.read_only,
        ..MountPoint::default()
    };
    match wanted.kind.as_str() {
        "bind" => {
            if wanted.source.is_empty() {
                return Err(bad("field Source must not be empty"));
            }
            if !wanted.source.starts_with('/') {
                let text =
                    format!("invalid mount path: '{}' mount path must be absolute", wanted.source);
                return Err(bad(&text));
            }
            let options = wanted.bind_options.clone().unwrap_or_default();
            mount.propagation.clone_from(&options.propagation);
            bind_source(&mut mount, &wanted.source);
            bind_options(&mut mount, &options);
        }
        "volume" => {
            let options = wanted.volume_options.clone().unwrap_or_default();
            volume_source(&mut mount, &wanted.source)?;
            mount.copy_up = !options.no_copy;
            mount.subpath = options.subpath;
        }
        "tmpfs" => {
            if !wanted.source.is_empty() {
                return Err(bad("field Source must not be specified"));
            }
            "tmpfs".clone_into(&mut mount.kind);
            mount.options = tmpfs_options(wanted);
        }
        "image" => {
            "image".clone_into(&mut mount.kind);
            mount.name.clone_from(&wanted.source);
            mount.writable = false;
            mount.subpath = wanted.image_options.clone().unwrap_or_default().subpath;
        }
        "" => return Err(EngineError::invalid("mount type unknown: \"\"")),
        kind => return Err(EngineError::invalid(format!("mount type unknown: \"{kind}\""))),
    }
    check_subpath(&mount.subpath).map_err(|e| bad(&e.message))?;
    Ok(mount)
}

fn bind_options(mount: &mut MountPoint, options: &BindOptions) {
    mount.non_recursive = options.non_recursive;
    // Said here so that `create` knows whether a missing source is an error (`--mount`) or made.
    if options.create_mountpoint {
        "create".clone_into(&mut mount.options);
    } else {
        "must-exist".clone_into(&mut mount.options);
    }
}

fn tmpfs_options(wanted: &Mount) -> String {
    let options = wanted.tmpfs_options.clone().unwrap_or_default();
    let mut words = Vec::new();
    if options.size_bytes > 0 {
        words.push(format!("size={}", options.size_bytes));
    }
    if options.mode != 0 {
        words.push(format!("mode={:o}", options.mode));
    }
    words.extend(items(&options.options).iter().map(|pair| pair.join("=")));
    words.join(",")
}

fn check_subpath(path: &str) -> Result<()> {
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(EngineError::invalid("subpath must be a relative path within the volume"));
    }
    Ok(())
}

/// An absolute path without `.`, `..` and double slashes that is not the root.
pub fn clean_target(target: &str) -> Result<String> {
    if target.is_empty() {
        return Err(EngineError::invalid("field Target must not be empty"));
    }
    if !target.starts_with('/') {
        return Err(EngineError::invalid(format!(
            "invalid mount path: '{target}' mount path must be absolute"
        )));
    }
    match clean(target) {
        path if path == "/" => {
            Err(EngineError::invalid("invalid specification: destination can't be '/'"))
        }
        path => Ok(path),
    }
}

/// Go's `path.Clean` for absolute paths.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The labels a `--mount type=volume` gives the volume it makes.
pub fn volume_labels(host: &HostConfig, target: &str) -> Dict<String> {
    let here = |m: &&Mount| m.kind == "volume" && clean(&m.target) == target;
    items(&host.mounts).iter().find(here)?.volume_options.as_ref()?.labels.clone()
}

#[cfg(test)]
mod tests;
