//! The operator's socket of a running server: one word in, `ok` and bytes (or `error` and a sentence) out.

use crate::failure::Failure;
use kube_http::Gate;
use log::{Control, RealDisk};
use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use store::Store;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("operator.sock")
}

/// What the words are about.
#[derive(Clone)]
pub struct Plane {
    pub store: Store,
    pub control: Control<RealDisk>,
    pub gate: Gate,
    pub data_dir: PathBuf,
}

/// Answers operators until the task is aborted. Whoever can open the socket (its owner) may do all of it.
pub fn serve(plane: Plane) -> Result<JoinHandle<()>, Failure> {
    let path = path(&plane.data_dir);
    let what = || format!("listen on `{}`", path.display());
    // One left by a server that was killed; a running one holds the store, so this is nobody's.
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(|e| Failure::new(what(), e))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
        .map_err(|e| Failure::new(what(), e))?;
    Ok(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let plane = plane.clone();
            // Everything below reads and writes disks.
            tokio::task::spawn_blocking(move || {
                let stream = stream.into_std().and_then(|s| s.set_nonblocking(false).map(|()| s));
                if let Err(error) = stream.and_then(|stream| answer(&plane, &stream)) {
                    tracing::warn!("answering an operator: {error}");
                }
            });
        }
    }))
}

fn answer(plane: &Plane, stream: &UnixStream) -> std::io::Result<()> {
    let (mut word, mut out) = (String::new(), BufWriter::new(stream));
    BufReader::new(stream).read_line(&mut word)?;
    let done = match word.trim() {
        "backup" => {
            out.write_all(b"ok\n")?;
            // A backup that breaks off does not pass the check its asker makes.
            plane.control.backup(&plane.store.view(), &mut out)?;
            return out.flush();
        }
        "rotate-key" => plane.control.rotate(&plane.store).map_err(|e| e.message),
        "rotate-signing-key" => pki::rotate_signing_key(&plane.data_dir)
            .map_err(|e| e.to_string())
            .and_then(|()| plane.gate.reload(&plane.data_dir)),
        other => Err(format!("this server does not know {other:?}")),
    };
    match done {
        Ok(()) => out.write_all(b"ok\n")?,
        Err(why) => writeln!(out, "error {}", why.replace('\n', " "))?,
    }
    out.flush()
}

/// Asks the server that runs on `data_dir`; `None` when there is none. What follows `ok` is left to read.
pub fn ask(data_dir: &Path, word: &str) -> Option<Result<impl std::io::Read + use<>, String>> {
    let stream = UnixStream::connect(path(data_dir)).ok()?;
    Some(begin(stream, word))
}

fn begin(mut stream: UnixStream, word: &str) -> Result<BufReader<UnixStream>, String> {
    let gone = |e: std::io::Error| format!("the server hung up: {e}");
    writeln!(stream, "{word}").map_err(gone)?;
    let (mut answer, mut first) = (BufReader::new(stream), String::new());
    answer.read_line(&mut first).map_err(gone)?;
    match first.trim_end().split_once(' ') {
        None if first.trim_end() == "ok" => Ok(answer),
        Some(("error", why)) => Err(why.into()),
        _ => Err("the server hung up".into()),
    }
}
