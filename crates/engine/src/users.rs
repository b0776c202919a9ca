//! Who a process runs as: `user[:group]`, names or numbers, looked up in the container's files.
//!
//! Rules and texts: moby `sys/user` (`GetExecUser`).

use std::path::Path;

use crate::config::items;
use crate::contain::{LastLink, open_in, proc_path};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::record::Record;

/// Files larger than this are not user databases.
const LIMIT: u64 = 4 << 20;

/// The texts of `/etc/passwd` and `/etc/group` as the container sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Databases {
    pub passwd: String,
    pub group: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub home: String,
}

/// Looks `user[:group]` up. Numbers need no entry; names do. `add` are further groups.
pub fn identify(wanted: &str, add: &[String], databases: &Databases) -> Result<Identity> {
    let (user, group) = wanted.split_once(':').unwrap_or((wanted, ""));
    let by_name = |l: &&[&str]| l[0] == user || (user.is_empty() && l[2] == "0");
    let by_id = |l: &&[&str]| l[2] == user;
    let rows: Vec<Vec<&str>> = rows(&databases.passwd, 7);
    let row = rows.iter().map(Vec::as_slice).find(by_name);
    let row = row.or_else(|| rows.iter().map(Vec::as_slice).find(by_id));
    let mut identity = match (row, number(user)) {
        (Some(row), _) => Identity {
            uid: number(row[2]).unwrap_or(0),
            gid: number(row[3]).unwrap_or(0),
            groups: memberships(row[0], &databases.group),
            home: row[5].to_owned(),
        },
        (None, Some(uid)) => Identity { uid, gid: 0, groups: Vec::new(), home: "/".to_owned() },
        (None, None) if user.is_empty() => {
            Identity { uid: 0, gid: 0, groups: Vec::new(), home: "/root".to_owned() }
        }
        (None, None) => {
            return Err(EngineError::invalid(format!(
                "unable to find user {user}: no matching entries in passwd file"
            )));
        }
    };
    if !group.is_empty() {
        identity.gid = group_id(group, &databases.group)?;
        identity.groups.clear();
    }
    for group in add {
        let id = group_id(group, &databases.group)?;
        if !identity.groups.contains(&id) {
            identity.groups.push(id);
        }
    }
    if identity.home.is_empty() {
        "/".clone_into(&mut identity.home);
    }
    Ok(identity)
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|n| *n <= i32::MAX as u32)
}

fn rows(text: &str, fields: usize) -> Vec<Vec<&str>> {
    let split = text.lines().map(|line| line.trim_end().split(':').collect::<Vec<_>>());
    split.filter(|row| row.len() >= fields).collect()
}

fn memberships(user: &str, groups: &str) -> Vec<u32> {
    let member = |row: &Vec<&str>| row[3].split(',').any(|m| m == user);
    rows(groups, 4).iter().filter(|r| member(r)).filter_map(|r| number(r[2])).collect()
}

fn group_id(wanted: &str, groups: &str) -> Result<u32> {
    let rows = rows(groups, 4);
    let named = rows.iter().find(|r| r[0] == wanted).and_then(|r| number(r[2]));
    named.or_else(|| number(wanted)).ok_or_else(|| {
        EngineError::invalid(format!(
            "unable to find group {wanted}: no matching entries in group file"
        ))
    })
}

/// Reads a small file of a root file system through its layers, top first, without mounting.
fn read_layered<'a>(layers: impl Iterator<Item = &'a Path>, path: &str) -> String {
    for layer in layers {
        let Ok(fd) = open_in(layer, Path::new(path), LastLink::Follow) else { continue };
        let file = proc_path(&fd);
        let regular = |m: &std::fs::Metadata| m.is_file() && m.len() <= LIMIT;
        return match std::fs::metadata(&file) {
            Ok(meta) if regular(&meta) => {
                let bytes = std::fs::read(&file).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            // A whiteout, or something hostile: as if it were not there.
            _ => String::new(),
        };
    }
    String::new()
}

impl Engine {
    pub(crate) fn databases(&self, spec: &image::RootfsSpec) -> Databases {
        let read = |path: &str| {
            let layers = spec.upper.iter().chain(&spec.lower).map(std::path::PathBuf::as_path);
            read_layered(layers, path)
        };
        Databases { passwd: read("etc/passwd"), group: read("etc/group") }
    }

    /// The configured user of a container and its home directory.
    pub(crate) fn look_up_user(
        &self,
        record: &Record,
        spec: &image::RootfsSpec,
    ) -> Result<(runtime::User, String)> {
        let databases = self.databases(spec);
        let identity = identify(&record.config.user, items(&record.host.group_add), &databases)?;
        Ok((identity.user(), identity.home))
    }
}

impl Identity {
    pub(crate) fn user(&self) -> runtime::User {
        runtime::User {
            uid: self.uid,
            gid: self.gid,
            additional_gids: self.groups.clone(),
            umask: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let databases = Databases {
            passwd: "root:x:0:0:root:/root:/bin/sh\nann:x:7:8::/home/ann:/bin/sh\nbroken\n".into(),
            group: "root:x:0:\nstaff:x:50:ann,bob\nwheel:x:10:ann\n".into(),
        };
        let show = |wanted: &str| match identify(wanted, &[], &databases) {
            Ok(i) => format!("{}:{} {:?} {}", i.uid, i.gid, i.groups, i.home),
            Err(e) => e.message,
        };
        assert_eq!(show(""), "0:0 [] /root");
        assert_eq!(show("ann"), "7:8 [50, 10] /home/ann");
        assert_eq!(show("7"), "7:8 [50, 10] /home/ann");
        assert_eq!(show("1234"), "1234:0 [] /");
        assert_eq!(show("ann:wheel"), "7:10 [] /home/ann");
        assert_eq!(show("1:2"), "1:2 [] /");
        assert_eq!(show("eve"), "unable to find user eve: no matching entries in passwd file");
        assert!(show("ann:nope").starts_with("unable to find group nope"));
        let added = identify("ann", &["staff".into(), "99".into()], &databases).unwrap();
        assert_eq!(added.groups, [50, 10, 99]);
    }
}
