//! Devices of this machine that containers ask for.

use std::fs::FileType;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use runtime::{Device, DeviceKind, DeviceRule};

use crate::config::{self, HostConfig, items};
use crate::error::{EngineError, Result};

/// Major and minor of a device node.
pub fn number(path: &Path) -> Option<(u32, u32)> {
    let meta = std::fs::metadata(path).ok()?;
    kind_of(meta.file_type())?;
    Some(split(meta.rdev()))
}

/// glibc's `gnu_dev_major` and `gnu_dev_minor`.
fn split(dev: u64) -> (u32, u32) {
    let major = ((dev >> 8) & 0xfff) | ((dev >> 32) & 0xffff_f000);
    let minor = (dev & 0xff) | ((dev >> 12) & 0xffff_ff00);
    (major as u32, minor as u32)
}

fn kind_of(kind: FileType) -> Option<DeviceKind> {
    match () {
        () if kind.is_char_device() => Some(DeviceKind::Char),
        () if kind.is_block_device() => Some(DeviceKind::Block),
        () => None,
    }
}

/// The nodes to make and the rules that open them.
pub fn resolve(host: &HostConfig) -> Result<(Vec<Device>, Vec<DeviceRule>)> {
    let mut nodes = Vec::new();
    if host.privileged {
        walk(Path::new("/dev"), Path::new("/dev"), "rwm", &mut nodes);
    }
    for wanted in items(&host.devices) {
        one(wanted, &mut nodes)?;
    }
    let mut rules: Vec<DeviceRule> = nodes.iter().map(rule_for).collect();
    for text in items(&host.device_cgroup_rules) {
        rules.push(parse_rule(text).ok_or_else(|| {
            EngineError::invalid(format!("invalid device cgroup rule format: '{text}'"))
        })?);
    }
    Ok((nodes.into_iter().map(|(device, _)| device).collect(), rules))
}

type Node = (Device, String);

fn rule_for((device, access): &Node) -> DeviceRule {
    DeviceRule {
        allow: true,
        kind: device.kind,
        major: Some(device.major),
        minor: Some(device.minor),
        access: access.clone(),
    }
}

fn one(wanted: &config::Device, nodes: &mut Vec<Node>) -> Result<()> {
    let access = match wanted.cgroup_permissions.as_str() {
        "" => "rwm",
        access => access,
    };
    let inside = match wanted.path_in_container.as_str() {
        "" => wanted.path_on_host.as_str(),
        inside => inside,
    };
    let (source, target) = (Path::new(&wanted.path_on_host), Path::new(inside));
    let before = nodes.len();
    match std::fs::metadata(source) {
        Ok(meta) if meta.is_dir() => walk(source, target, access, nodes),
        Ok(_) => nodes.extend(node(source, target, access)),
        Err(e) => {
            return Err(EngineError::system(format!(
                "error gathering device information while adding custom device \"{}\": {e}",
                wanted.path_on_host
            )));
        }
    }
    if nodes.len() == before {
        return Err(EngineError::invalid(format!(
            "error gathering device information while adding custom device \"{}\": not a device \
             node",
            wanted.path_on_host
        )));
    }
    Ok(())
}

fn node(source: &Path, target: &Path, access: &str) -> Option<Node> {
    let meta = std::fs::metadata(source).ok()?;
    let kind = kind_of(meta.file_type())?;
    let (major, minor) = split(meta.rdev());
    let device = Device {
        path: target.to_string_lossy().into_owned(),
        kind,
        major,
        minor,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
    };
    Some((device, access.to_owned()))
}

/// Every device below a directory, without the places that the container has of its own.
fn walk(source: &Path, target: &Path, access: &str, nodes: &mut Vec<Node>) {
    const OWN: &[&str] = &["pts", "shm", "mqueue", "fd", "console", "ptmx", ".lxc", ".udev"];
    let Ok(entries) = std::fs::read_dir(source) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if OWN.iter().any(|own| name == *own) {
            continue;
        }
        let (from, to) = (entry.path(), target.join(&name));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&from, &to, access, nodes),
            Ok(kind) if kind_of(kind).is_some() => nodes.extend(node(&from, &to, access)),
            _ => {}
        }
    }
}

/// `c 42:* rmw`
fn parse_rule(text: &str) -> Option<DeviceRule> {
    let mut words = text.split_whitespace();
    let kind = match words.next()? {
        "a" => DeviceKind::All,
        "c" => DeviceKind::Char,
        "b" => DeviceKind::Block,
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let number = |t: &str| match t {
        "*" => Some(None),
        n => n.parse().ok().map(Some),
    };
    let access = words.next()?;
    let fine = !access.is_empty() && access.chars().all(|c| "rwm".contains(c));
    (fine && words.next().is_none()).then_some(())?;
    let (major, minor) = (number(major)?, number(minor)?);
    Some(DeviceRule { allow: true, kind, major, minor, access: access.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::{number, parse_rule, split};

    #[test]
    fn rules_and_numbers() {
        let rule = parse_rule("c 42:* rmw").unwrap();
        assert_eq!((rule.major, rule.minor, rule.access.as_str()), (Some(42), None, "rmw"));
        for bad in ["", "c 42", "x 1:1 r", "c 1:1 q", "c 1:1 r extra"] {
            assert!(parse_rule(bad).is_none(), "{bad}");
        }
        assert_eq!(split(0x0103), (1, 3));
        assert_eq!(number(std::path::Path::new("/dev/null")), Some((1, 3)));
    }
}
