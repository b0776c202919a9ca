//! `cp`: tar archives in both directions (docker cli `cli/command/container/cp.go`).

use super::engine;
use super::transfer::source;
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use base64::Engine as _;
use http::Method;
use meta::Value;
use remote::{Docker, escape};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

pub async fn copy(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    match (place(&call.args[0]), place(&call.args[1])) {
        ((Some(container), from), (None, to)) => out_of(call, &engine, container, from, to).await,
        ((None, from), (Some(container), to)) => into(call, &engine, from, container, to).await,
        ((Some(_), _), (Some(_), _)) => {
            Err(Failure::plain("copying between containers is not supported"))
        }
        _ => Err(Failure::plain("must specify at least one container source")),
    }
}

/// `CONTAINER:PATH`; a path with a slash before the colon is this machine's.
fn place(text: &str) -> (Option<&str>, &str) {
    match text.split_once(':') {
        Some((container, path)) if !container.is_empty() && !container.contains(['/', '.']) => {
            (Some(container), path)
        }
        _ => (None, text),
    }
}

async fn out_of(
    call: &Call,
    engine: &Docker,
    container: &str,
    from: &str,
    to: &str,
) -> Result<u8, Failure> {
    let what = format!("copy `{container}:{from}`");
    let path = format!("/containers/{}/archive?path={}", escape(container), escape(from));
    let answer = engine.send(Method::GET, &path, &[], remote::empty()).await;
    let answer = answer.map_err(|e| Failure::docker(&what, &e))?;
    let stat = answer.headers().get("x-docker-container-path-stat").cloned();
    let mut lines = remote::Lines::new(answer.into_body());
    let mut archive = Vec::new();
    while let Some(chunk) = lines.chunk().await.map_err(|e| Failure::docker(&what, &e))? {
        if to == "-" {
            out::write(&chunk);
        } else {
            archive.extend_from_slice(&chunk);
        }
    }
    if to == "-" {
        return Ok(0);
    }
    let name = stat.and_then(|stat| stat_name(stat.as_bytes())).unwrap_or_default();
    let renamed = renaming(to, &name, from)?;
    unpack(&archive, &renamed).map_err(|e| Failure::new(&what, e))?;
    said(call, archive.len(), to);
    Ok(0)
}

fn said(call: &Call, bytes: usize, to: &str) {
    if !call.has("quiet") {
        let size = out::size(bytes as f64, 3);
        out::write_err(format!("Successfully copied {size} to {to}\n").as_bytes());
    }
}

fn stat_name(header: &[u8]) -> Option<String> {
    let json = base64::engine::general_purpose::STANDARD.decode(header).ok()?;
    let stat: Value = serde_json::from_slice(&json).ok()?;
    stat["name"].as_str().map(str::to_owned)
}

/// Where the archive's top goes: which directory, and under which name there.
struct Renaming {
    dir: PathBuf,
    top: String,
    new: String,
}

/// Into a directory that is there under its own name, else as what `to` names; `DIR/.` means what is in it.
fn renaming(to: &str, top: &str, from: &str) -> Result<Renaming, Failure> {
    let target = Path::new(to);
    let own =
        |new: &str, dir: &Path| Renaming { dir: dir.into(), top: top.into(), new: new.into() };
    if target.is_dir() {
        let contents = from.ends_with("/.");
        return Ok(own(if contents { "." } else { top }, target));
    }
    let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if to.ends_with('/') || !parent.is_dir() {
        return Err(Failure::plain(format!(
            "invalid output path: directory \"{to}\" does not exist"
        )));
    }
    let new = target.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(own(&new.unwrap_or_default(), parent))
}

/// Unpacks below a directory; entries that would leave it are left out by the archive library.
fn unpack(archive: &[u8], renaming: &Renaming) -> std::io::Result<()> {
    let mut archive = tar::Archive::new(archive);
    archive.set_preserve_permissions(true);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let below = path.strip_prefix(&renaming.top).unwrap_or(&path);
        let target = match renaming.new.as_str() {
            "." => renaming.dir.join(below),
            new if below.as_os_str().is_empty() => renaming.dir.join(new),
            new => renaming.dir.join(new).join(below),
        };
        let is_inside = below
            .components()
            .all(|c| matches!(c, std::path::Component::Normal(_) | std::path::Component::CurDir));
        if !is_inside {
            return Err(std::io::Error::other(format!(
                "`{}` leads out of the archive",
                path.display()
            )));
        }
        unpack_one(&mut entry, &renaming.dir, &target)?;
    }
    Ok(())
}

fn unpack_one<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    root: &Path,
    target: &Path,
) -> std::io::Result<()> {
    if entry.header().entry_type().is_dir() && target.is_dir() {
        return Ok(());
    }
    // A link made by an earlier entry must not carry a later one away.
    let mut parent = target.parent().unwrap_or(root);
    while parent != root && parent.starts_with(root) {
        if parent.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
            return Err(std::io::Error::other(format!("`{}` is a link", parent.display())));
        }
        parent = parent.parent().unwrap_or(root);
    }
    entry.unpack(target).map(drop)
}

async fn into(
    call: &Call,
    engine: &Docker,
    from: &str,
    container: &str,
    to: &str,
) -> Result<u8, Failure> {
    let what = format!("copy into `{container}:{to}`");
    let exists = head(engine, container, to).await;
    let (dir, name) = match (&exists, from) {
        (Some(true), _) | (_, "-") => (to.to_owned(), None),
        _ if to.ends_with('/') => {
            return Err(Failure::plain(format!(
                "Error response from daemon: Could not find the file {to} in container {container}"
            )));
        }
        _ => {
            let (dir, name) = to.rsplit_once('/').unwrap_or((".", to));
            (if dir.is_empty() { "/" } else { dir }.to_owned(), Some(name.to_owned()))
        }
    };
    let (body, size) = if from == "-" {
        (source("-").await?, 0)
    } else {
        let archive = pack(Path::new(from), name, call.has("follow-link"));
        let archive = archive.map_err(|e| Failure::new(format!("read `{from}`"), e))?;
        let size = archive.len();
        (remote::full(archive), size)
    };
    let path = format!(
        "/containers/{}/archive?path={}&noOverwriteDirNonDir=true&copyUIDGID={}",
        escape(container),
        escape(&dir),
        call.has("archive"),
    );
    let headers = [("content-type", "application/x-tar")];
    let done = engine.send(Method::PUT, &path, &headers, body).await;
    done.map_err(|e| Failure::docker(what, &e))?;
    if from != "-" {
        said(call, size, &format!("{container}:{to}"));
    }
    Ok(0)
}

/// Whether a path in a container is a directory; nothing when it is not there.
async fn head(engine: &Docker, container: &str, path: &str) -> Option<bool> {
    const DIRECTORY: u64 = 1 << 31;
    let path = format!("/containers/{}/archive?path={}", escape(container), escape(path));
    let answer = engine.send(Method::HEAD, &path, &[], remote::empty()).await.ok()?;
    let stat = answer.headers().get("x-docker-container-path-stat")?;
    let json = base64::engine::general_purpose::STANDARD.decode(stat.as_bytes()).ok()?;
    let stat: Value = serde_json::from_slice(&json).ok()?;
    Some(stat["mode"].as_u64()? & DIRECTORY != 0)
}

/// A file or directory as an archive whose top has the given name, or its own.
fn pack(from: &Path, name: Option<String>, follow: bool) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Cursor::new(Vec::new()));
    builder.follow_symlinks(follow);
    let own = from.file_name().map(|name| name.to_string_lossy().into_owned());
    let contents = from.to_string_lossy().ends_with("/.") || own.is_none();
    let name =
        if contents && name.is_none() { ".".into() } else { name.or(own).unwrap_or_default() };
    let kind = if follow { from.metadata()? } else { from.symlink_metadata()? };
    if kind.is_dir() {
        builder.append_dir_all(name, from)?;
    } else {
        builder.append_path_with_name(from, name)?;
    }
    Ok(builder.into_inner()?.into_inner())
}

/// For `kubectl cp`: see [`super::unpack_as`].
pub fn unpack_as(archive: &[u8], to: &str, name: &str) -> Result<(), Failure> {
    let renaming = renaming(to, name, name)?;
    unpack(archive, &renaming).map_err(|e| Failure::new(format!("write `{to}`"), e))
}

/// For `kubectl cp`: see [`super::pack_as`].
pub fn pack_as(from: &str, name: Option<String>) -> Result<Vec<u8>, Failure> {
    pack(Path::new(from), name, false).map_err(|e| Failure::new(format!("read `{from}`"), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(place("web:/srv"), (Some("web"), "/srv"));
        assert_eq!(place("./a:b"), (None, "./a:b"));
        assert_eq!(place("-"), (None, "-"));
    }

    #[test]
    fn what_is_packed_can_be_unpacked_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("site/img")).unwrap();
        std::fs::write(dir.path().join("site/img/a"), "x").unwrap();
        let archive = pack(&dir.path().join("site"), None, false).unwrap();
        let target = dir.path().join("copy");
        let renaming = renaming(target.to_str().unwrap(), "site", "/site").unwrap();
        unpack(&archive, &renaming).unwrap();
        assert_eq!(std::fs::read_to_string(target.join("img/a")).unwrap(), "x");
    }

    #[test]
    fn an_archive_cannot_write_through_its_own_link() {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "top/link", "/tmp").unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        builder.append_data(&mut header, "top/link/evil", &b"x"[..]).unwrap();
        let archive = builder.into_inner().unwrap();
        std::fs::create_dir(dir.path().join("top")).unwrap();
        let renaming = Renaming { dir: dir.path().into(), top: "top".into(), new: "top".into() };
        assert!(unpack(&archive, &renaming).unwrap_err().to_string().contains("is a link"));
    }
}
