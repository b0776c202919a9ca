//! User names of a container's own `/etc/passwd` and `/etc/group`, read without leaving its root
//! (moby/sys `user`, `GetExecUser`).

use crate::child::open_below;
use crate::error::{Error, Result};
use crate::spec::{Rootfs, User};
use crate::sys;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;

/// Larger files are cut off: nobody has megabytes of users.
const MOST: u64 = 4 << 20;

/// What a user means in a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolved {
    pub user: User,
    /// Empty when the user has no entry.
    pub home: String,
}

/// `user` is docker's form: empty (root), `name`, `uid`, `name:group`, `uid:gid`. `extra` are
/// further groups by name or number (`--group-add`). `root` is a directory with the container's
/// root file system mounted; [`lookup`] finds the files where it is not mounted yet.
pub fn resolve(root: &Path, user: &str, extra: &[String]) -> Result<Resolved> {
    let fail = |e: io::Error| Error::kernel("read users of", root.display(), &e);
    let dir = sys::open(root, libc::O_PATH | libc::O_DIRECTORY).map_err(fail)?;
    let read = |path: &str| match open_below(dir.as_fd(), path) {
        Ok(fd) => read_text(File::from(fd)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    };
    let passwd = read("/etc/passwd").map_err(fail)?;
    let group = read("/etc/group").map_err(fail)?;
    find(user, extra, &passwd, &group)
}

/// For a root file system that is not mounted: the topmost layer that has a file wins. A layer
/// that hides the file is seen through, which only ever shows an older version of it.
pub fn lookup(rootfs: &Rootfs, user: &str, extra: &[String]) -> Result<Resolved> {
    let dirs: Vec<&Path> = match rootfs {
        Rootfs::Dir(dir) => vec![dir],
        Rootfs::Overlay { lower, upper, .. } => {
            std::iter::once(upper).chain(lower).map(|dir| dir.as_path()).collect()
        }
    };
    let first = |path: &str| -> Result<String> {
        for dir in &dirs {
            let fail = |e: io::Error| Error::kernel("read users of", dir.display(), &e);
            let root = sys::open(dir, libc::O_PATH | libc::O_DIRECTORY).map_err(fail)?;
            match open_below(root.as_fd(), path) {
                Ok(fd) => return read_text(File::from(fd)).map_err(fail),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(fail(error)),
            }
        }
        Ok(String::new())
    };
    find(user, extra, &first("/etc/passwd")?, &first("/etc/group")?)
}

/// Only a regular file: a pipe or device in an image must not block us.
fn read_text(file: File) -> io::Result<String> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Pure: the rules of the lookup.
pub fn find(user: &str, extra: &[String], passwd: &str, group: &str) -> Result<Resolved> {
    let (name, group_name) = user.split_once(':').unwrap_or((user, ""));
    let name = if name.is_empty() { "0" } else { name };
    let number = name.parse::<u32>().ok().filter(|n| *n <= i32::MAX as u32);
    let lines: Vec<Vec<&str>> = fields(passwd, 7).collect();
    let entry = lines
        .iter()
        .find(|entry| entry[0] == name)
        .or_else(|| lines.iter().find(|entry| number.is_some() && entry[2].parse().ok() == number));
    let uid = entry.and_then(|entry| entry[2].parse().ok()).or(number);
    let uid: u32 = uid.ok_or_else(|| {
        Error::invalid(format!("unable to find user {name}: no matching entries in passwd file"))
    })?;
    let login = entry.map_or(name, |entry| entry[0]);
    let (gid, mut more) = match group_name {
        "" => {
            let own = entry.and_then(|entry| entry[3].parse().ok()).unwrap_or(0);
            (own, memberships(login, own, group))
        }
        wanted => (find_group(wanted, group)?, Vec::new()),
    };
    for wanted in extra {
        let gid = find_group(wanted, group)?;
        if !more.contains(&gid) {
            more.push(gid);
        }
    }
    let home = entry.map(|entry| entry[5].to_string()).unwrap_or_default();
    Ok(Resolved { user: User { uid, gid, additional_gids: more, umask: None }, home })
}

/// Lines cut at colons, filled up to `count` fields.
fn fields(text: &str, count: usize) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).map(move |line| {
        let mut parts: Vec<&str> = line.trim().split(':').collect();
        parts.resize(parts.len().max(count), "");
        parts
    })
}

fn memberships(login: &str, own: u32, group: &str) -> Vec<u32> {
    let member = |entry: &Vec<&str>| entry[3].split(',').any(|name| name == login);
    let gids = fields(group, 4).filter(member).filter_map(|entry| entry[2].parse().ok());
    gids.filter(|gid| *gid != own).collect()
}

fn find_group(wanted: &str, group: &str) -> Result<u32> {
    let by_name = fields(group, 4).find(|entry| entry[0] == wanted);
    by_name.and_then(|entry| entry[2].parse().ok()).or_else(|| wanted.parse().ok()).ok_or_else(
        || {
            Error::invalid(format!(
                "unable to find group {wanted}: no matching entries in group file"
            ))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\n\n# x\nweb:x:33:34::/var/www:\nodd:x\n5:x:77:1::/five:\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\ndisk:x:6:web,root\nadm:x:4:web\n";

    fn ids(user: &str, extra: &[&str]) -> (u32, u32, Vec<u32>, String) {
        let extra: Vec<String> = extra.iter().map(|text| text.to_string()).collect();
        let found = find(user, &extra, PASSWD, GROUP).unwrap();
        (found.user.uid, found.user.gid, found.user.additional_gids, found.home)
    }

    #[test]
    fn docker_forms() {
        assert_eq!(ids("", &[]), (0, 0, vec![6], "/root".into()));
        assert_eq!(ids("web", &[]), (33, 34, vec![6, 4], "/var/www".into()));
        assert_eq!(ids("33", &["adm", "99"]), (33, 34, vec![6, 4, 99], "/var/www".into()));
        assert_eq!(ids("web:disk", &[]), (33, 6, vec![], "/var/www".into()));
        assert_eq!(ids("1234", &[]), (1234, 0, vec![], String::new()));
        assert_eq!(ids("1234:55", &[]), (1234, 55, vec![], String::new()));
        // A name that looks like a number wins, as upstream.
        assert_eq!(ids("5", &[]), (77, 1, vec![], "/five".into()));
        for user in ["nobody", "odd", "web:nogroup", "-1", "4294967296"] {
            assert!(find(user, &[], PASSWD, GROUP).is_err(), "{user}");
        }
    }

    #[test]
    fn links_do_not_lead_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("etc/passwd")).unwrap();
        std::fs::write(dir.path().join("etc/group"), GROUP).unwrap();
        // The link points at itself inside the root.
        assert!(resolve(dir.path(), "root", &[]).is_err());
        let rootfs = Rootfs::Dir(dir.path().to_path_buf());
        std::fs::remove_file(dir.path().join("etc/passwd")).unwrap();
        assert_eq!(lookup(&rootfs, "7:web", &[]).unwrap().user.gid, 34);
    }
}
