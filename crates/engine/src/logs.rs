//! Reading container logs: what was written, and what still comes.
//!
//! The keeper writes Docker's json-file format; here it is only read. Following waits for the
//! kernel's word that the file grew (inotify), never by polling.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::inotify;
use serde::Deserialize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use crate::containers::{Container, WaitCondition, wait};
use crate::engine::Engine;
use crate::error::{Doing, EngineError, Kind, Result};
use crate::time::Stamp;

/// Lines on their way to a slow reader.
const BACKLOG: usize = 64;

/// Where a container's log lies.
pub fn path(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("{id}-json.log"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    Stdout,
    Stderr,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub stream: LogStream,
    pub at: Stamp,
    /// With its newline, if it had one.
    pub text: String,
}

/// What a reader wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    pub stdout: bool,
    pub stderr: bool,
    pub since: Option<Stamp>,
    pub until: Option<Stamp>,
    /// So many of the newest lines; `None`: all.
    pub tail: Option<usize>,
    pub follow: bool,
}

impl LogOptions {
    fn wants(&self, line: &LogLine) -> bool {
        let stream = match line.stream {
            LogStream::Stdout => self.stdout,
            LogStream::Stderr => self.stderr,
        };
        stream
            && self.since.is_none_or(|since| line.at >= since)
            && self.until.is_none_or(|until| line.at <= until)
    }
}

#[derive(Deserialize)]
struct Entry {
    log: String,
    stream: String,
    time: String,
}

/// One line of the json-file format; a torn or foreign line is `None`.
fn parse(line: &[u8]) -> Option<LogLine> {
    let entry: Entry = serde_json::from_slice(line).ok()?;
    let stream = if entry.stream == "stderr" { LogStream::Stderr } else { LogStream::Stdout };
    Some(LogLine { stream, at: Stamp::parse(&entry.time)?, text: entry.log })
}

/// A log file that may be replaced by a new one while it is read.
struct Tailer {
    path: PathBuf,
    file: BufReader<File>,
    inode: u64,
    /// A line whose end has not been written yet.
    partial: Vec<u8>,
}

impl Tailer {
    fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        let inode = file.metadata()?.ino();
        Ok(Self { path: path.to_owned(), file: BufReader::new(file), inode, partial: Vec::new() })
    }

    /// The next whole line that is there now.
    fn next(&mut self) -> std::io::Result<Option<LogLine>> {
        loop {
            self.file.read_until(b'\n', &mut self.partial)?;
            if self.partial.last() == Some(&b'\n') {
                let line = parse(&self.partial);
                self.partial.clear();
                match line {
                    Some(line) => return Ok(Some(line)),
                    None => continue,
                }
            }
            if !self.reopen()? {
                return Ok(None);
            }
        }
    }

    /// Goes on with the new file after a rotation.
    fn reopen(&mut self) -> std::io::Result<bool> {
        match std::fs::metadata(&self.path) {
            Ok(meta) if meta.ino() != self.inode => {
                *self = Self::open(&self.path)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

/// Rotated files, oldest first: `path.3`, `path.2`, `path.1`.
fn rotated(path: &Path) -> Vec<PathBuf> {
    let name = |n: u32| PathBuf::from(format!("{}.{n}", path.display()));
    let mut files: Vec<PathBuf> = (1..).map(name).take_while(|p| p.exists()).collect();
    files.reverse();
    files
}

impl Engine {
    /// The lines through a channel; it closes at the end, or when following at the end of the run.
    pub async fn logs(
        self: &Arc<Self>,
        wanted: &str,
        options: LogOptions,
    ) -> Result<mpsc::Receiver<LogLine>> {
        let container = self.containers.find(wanted)?;
        if container.record().host.log_config.kind == "none" {
            let text = "configured logging driver does not support reading";
            return Err(EngineError::new(Kind::Unsupported, text));
        }
        let (tx, rx) = mpsc::channel(BACKLOG);
        let follow = options.follow && container.record().state.phase.is_running();
        tokio::spawn(async move {
            if let Err(e) = read(&container, options, follow, tx).await {
                eprintln!("engine: reading the log of {}: {e}", container.id);
            }
        });
        Ok(rx)
    }
}

async fn read(
    container: &Arc<Container>,
    options: LogOptions,
    follow: bool,
    tx: mpsc::Sender<LogLine>,
) -> Result<()> {
    let path = path(container.dir(), &container.id);
    // Watching starts before reading, so that nothing is written in between unseen.
    let ended = wait(container.changes(), WaitCondition::NextExit);
    let watch = if follow { Some(Watch::new(&path)?) } else { None };
    let (options, sender, log) = (Arc::new(options), tx.clone(), path.clone());
    let wishes = options.clone();
    let past = tokio::task::spawn_blocking(move || past(&log, &wishes, &sender));
    let tailer = past.await.doing(|| "a worker thread failed".to_owned())??;
    if let (Some(watch), Some(tailer)) = (watch, tailer) {
        follow_on(container, tailer, &watch, &options, ended, &tx).await?;
    }
    Ok(())
}

/// Sends what is there; gives the reader at its end.
fn past(path: &Path, options: &LogOptions, tx: &mpsc::Sender<LogLine>) -> Result<Option<Tailer>> {
    let what = || format!("reading {}", path.display());
    let mut newest: VecDeque<LogLine> = VecDeque::new();
    let mut take = |line: LogLine| {
        if !options.wants(&line) {
            return true;
        }
        let Some(tail) = options.tail else { return tx.blocking_send(line).is_ok() };
        newest.push_back(line);
        if newest.len() > tail {
            newest.pop_front();
        }
        true
    };
    let mut last = None;
    for file in rotated(path).into_iter().chain([path.to_owned()]) {
        let mut tailer = match Tailer::open(&file) {
            Ok(tailer) => tailer,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e).doing(what),
        };
        while let Some(line) = tailer.next().doing(what)? {
            if !take(line) {
                return Ok(None);
            }
        }
        last = Some(tailer);
    }
    for line in newest {
        if tx.blocking_send(line).is_err() {
            return Ok(None);
        }
    }
    Ok(last)
}

async fn follow_on(
    container: &Container,
    mut tailer: Tailer,
    watch: &Watch,
    options: &LogOptions,
    ended: impl Future<Output = (i32, String)>,
    tx: &mpsc::Sender<LogLine>,
) -> Result<()> {
    tokio::pin!(ended);
    let mut over = !container.record().state.phase.is_running();
    loop {
        while let Some(line) = tailer.next().doing(|| "reading a log".to_owned())? {
            if options.until.is_some_and(|until| line.at > until) {
                return Ok(());
            }
            if options.wants(&line) && tx.send(line).await.is_err() {
                return Ok(());
            }
        }
        if over {
            return Ok(());
        }
        let left = options.until.map(|u| u.0 - Stamp::now().0).unwrap_or(i64::MAX);
        let left = std::time::Duration::from_nanos(u64::try_from(left).unwrap_or(0));
        tokio::select! {
            changed = watch.changed() => changed?,
            _ = &mut ended => over = true,
            () = tx.closed() => return Ok(()),
            () = tokio::time::sleep(left), if options.until.is_some() => over = true,
        }
    }
}

/// The kernel's word that a log grew or was replaced.
struct Watch(AsyncFd<std::os::fd::OwnedFd>);

impl Watch {
    fn new(path: &Path) -> Result<Self> {
        let what = || format!("watching {}", path.display());
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        let fd = inotify::init(flags).doing(what)?;
        let dir = path.parent().unwrap_or(path);
        let events = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&fd, dir, events).doing(what)?;
        #[expect(deprecated, reason = "unsound only for types that lie about their descriptor")]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE).doing(what)?;
        Ok(Self(fd))
    }

    /// Waits for the next change and swallows what belongs to it.
    async fn changed(&self) -> Result<()> {
        let mut buffer = [0; 4096];
        let mut guard = self.0.readable().await?;
        let _ = guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut buffer)?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_and_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("x-json.log");
        let line = |n: u32| {
            format!(
                "{{\"log\":\"{n}\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:0{n}Z\"}}\n"
            )
        };
        std::fs::write(format!("{}.1", log.display()), line(1)).unwrap();
        std::fs::write(&log, line(2) + "garbage\n{\"log\":\"half").unwrap();
        let (tx, mut rx) = mpsc::channel(8);
        let options = LogOptions { stdout: true, ..LogOptions::default() };
        let tailer = past(&log, &options, &tx).unwrap();
        assert!(!tailer.unwrap().partial.is_empty());
        assert_eq!(rx.try_recv().unwrap().text, "1\n");
        assert_eq!(rx.try_recv().unwrap().text, "2\n");
        let tail = LogOptions { tail: Some(1), ..options };
        past(&log, &tail, &tx).unwrap();
        assert_eq!(rx.try_recv().unwrap().text, "2\n");
        assert!(rx.try_recv().is_err());
    }
}
