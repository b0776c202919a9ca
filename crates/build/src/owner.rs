//! `--chown` names to numbers, by the image's own `/etc/passwd` and `/etc/group`.

use std::path::Path;

use crate::error::{BuildError, Result};
use crate::rooted;

/// Whether no look into the image is needed.
pub fn is_numeric(text: &str) -> bool {
    text.split(':').all(|part| part.parse::<u32>().is_ok())
}

/// `user[:group]`; without a group it is the user's number (BuildKit) or its own one when named.
pub fn find(text: &str, root: &Path) -> Result<(u32, u32)> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let (uid, own) = match user.parse() {
        Ok(uid) => (uid, uid),
        Err(_) if user.is_empty() => (0, 0),
        Err(_) => {
            let row = row(root, "/etc/passwd", user, "user")?;
            (number(&row, 2, user)?, number(&row, 3, user)?)
        }
    };
    let gid = match group {
        None => own,
        Some("") => 0,
        Some(name) => match name.parse() {
            Ok(gid) => gid,
            Err(_) => number(&row(root, "/etc/group", name, "group")?, 2, name)?,
        },
    };
    Ok((uid, gid))
}

fn row(root: &Path, file: &str, name: &str, what: &str) -> Result<Vec<String>> {
    let text = rooted::resolve(root, file).ok().and_then(|p| std::fs::read_to_string(p).ok());
    let rows = text.unwrap_or_default();
    let found = rows.lines().map(|l| l.split(':').map(str::to_owned).collect::<Vec<_>>());
    found.into_iter().find(|r| r.first().is_some_and(|n| n == name)).ok_or_else(|| {
        BuildError::new(format!("unable to convert uid/gid chown string to host mapping: can't find {what} {name} in the image's {file}"))
    })
}

fn number(row: &[String], at: usize, name: &str) -> Result<u32> {
    let parsed = row.get(at).and_then(|n| n.parse().ok());
    parsed.ok_or_else(|| BuildError::new(format!("the image's entry of {name} has no number")))
}
