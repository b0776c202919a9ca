//! Reading the log files of a pod's containers (the CRI's format; pkg/kubelet/kuberuntime/logs/logs.go).

use bytes::Bytes;
use meta::{Problem, Time};
use rustix::fs::inotify;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

/// The parameters of a request for logs (`PodLogOptions`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    pub container: String,
    pub follow: bool,
    pub previous: bool,
    pub timestamps: bool,
    pub since: Option<Time>,
    /// So many of the newest lines.
    pub tail: Option<usize>,
    pub limit_bytes: Option<usize>,
    /// `Stdout`, `Stderr`, or `All`.
    pub stream: String,
}

impl LogQuery {
    /// Reads the parameters of a URL.
    ///
    /// # Errors
    /// 400 for what is no number, date or boolean.
    pub fn parse(query: &[(String, String)], now: Time) -> Result<Self, Problem> {
        let mut out = Self { stream: "All".into(), ..Self::default() };
        for (key, value) in query {
            let wrong = || Problem::bad_request(format!("invalid value {value:?} of {key}"));
            let number = || value.parse::<i64>().ok().filter(|n| *n >= 0).ok_or_else(wrong);
            match key.as_str() {
                "container" => out.container.clone_from(value),
                "follow" => out.follow = flag(value),
                "previous" => out.previous = flag(value),
                "timestamps" => out.timestamps = flag(value),
                "stream" => out.stream.clone_from(value),
                "sinceSeconds" => out.since = Some(Time(now.0 - number()? * 1_000_000)),
                "sinceTime" => out.since = Some(Time::parse(value).ok_or_else(wrong)?),
                "tailLines" => out.tail = usize::try_from(number()?).ok(),
                "limitBytes" => out.limit_bytes = usize::try_from(number()?).ok(),
                _ => {}
            }
        }
        Ok(out)
    }
}

/// Go's `strconv.ParseBool`, where a bare `?follow` is true as well.
pub(crate) fn flag(value: &str) -> bool {
    matches!(value, "" | "1" | "t" | "T" | "true" | "TRUE" | "True")
}

/// One entry: `2026-11-20T22:17:29.370277226Z stdout F text`.
struct Line<'a> {
    stamp: &'a [u8],
    stream: &'a [u8],
    /// Ends its line; a partial entry does not.
    full: bool,
    text: &'a [u8],
}

fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let (stamp, stream, tag) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Line { stamp, stream, full: tag != b"P", text: parts.next().unwrap_or_default() })
}

/// Renders entries as a client wants them.
struct Filter {
    query: LogQuery,
    left: usize,
    /// The entry before was partial: this one goes on with its line.
    continued: bool,
}

impl Filter {
    fn new(query: LogQuery) -> Self {
        let left = query.limit_bytes.unwrap_or(usize::MAX);
        Self { query, left, continued: false }
    }

    fn append(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        let Some(line) = parse(raw) else { return };
        let stream = self.query.stream.as_bytes();
        if stream != b"All" && !stream.eq_ignore_ascii_case(line.stream) {
            return;
        }
        if let Some(since) = self.query.since {
            let stamp = std::str::from_utf8(line.stamp).ok().and_then(Time::parse);
            if stamp.is_none_or(|at| at < since) {
                return;
            }
        }
        let start = out.len();
        if self.query.timestamps && !self.continued {
            out.extend_from_slice(line.stamp);
            out.push(b' ');
        }
        out.extend_from_slice(line.text);
        if line.full {
            out.push(b'\n');
        }
        self.continued = !line.full;
        out.truncate(start + (out.len() - start).min(self.left));
        self.left -= out.len() - start;
    }
}

/// A log that is moved aside (`0.log`, `0.log.1`, `0.log.2`, ...) and begun anew while it is read.
struct Tailer {
    path: PathBuf,
    file: BufReader<File>,
    inode: u64,
    partial: Vec<u8>,
    /// Nothing is written to this file any more, so its next end is its last.
    retired: bool,
}

/// Bytes handed over at once.
const CHUNK: usize = 32 << 10;
/// More files than any log is kept in.
const AGES: u32 = 32;

impl Tailer {
    fn open(path: &Path) -> io::Result<Self> {
        Self::of(path, File::open(path)?)
    }

    fn of(path: &Path, file: File) -> io::Result<Self> {
        let inode = file.metadata()?.ino();
        let file = BufReader::new(file);
        Ok(Self { path: path.to_owned(), file, inode, partial: Vec::new(), retired: false })
    }

    /// What is there now, rendered; empty when there is nothing more.
    fn chunk(&mut self, filter: &mut Filter) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        while out.len() < CHUNK && filter.left > 0 {
            self.file.read_until(b'\n', &mut self.partial)?;
            if self.partial.last() == Some(&b'\n') {
                self.partial.pop();
                filter.append(&self.partial, &mut out);
                self.partial.clear();
            } else if !self.go_on()? {
                break;
            }
        }
        Ok(out)
    }

    /// At the end of a file: whether there is more, in it or in the one after it.
    fn go_on(&mut self) -> io::Result<bool> {
        if self.retired {
            let next = self.next_file()?;
            *self = Self::of(&self.path, next)?;
            return Ok(true);
        }
        // Once the name stands for another file the writer has left this one; what it wrote last is read first.
        self.retired = inode(&self.path).is_some_and(|inode| inode != self.inode);
        Ok(self.retired)
    }

    /// The file that was begun after this one. The look is repeated when the log was moved meanwhile.
    fn next_file(&self) -> io::Result<File> {
        loop {
            let own = (1..AGES).find(|age| inode(&self.aged(*age)) == Some(self.inode));
            let newer = match own {
                Some(own) => (1..own).rev().find(|age| self.aged(*age).exists()),
                // This one is gone, and maybe others with it: on with the oldest that is left.
                None => (1..AGES).rev().find(|age| self.aged(*age).exists()),
            };
            let file = File::open(newer.map_or_else(|| self.path.clone(), |age| self.aged(age)));
            let still = own.is_none_or(|own| inode(&self.aged(own)) == Some(self.inode));
            match file {
                Ok(file) if still => return Ok(file),
                Err(error) if still && error.kind() != io::ErrorKind::NotFound => {
                    return Err(error);
                }
                Err(error) if own.is_none() && newer.is_none() => return Err(error),
                _ => {}
            }
        }
    }

    fn aged(&self, age: u32) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{age}"));
        path.into()
    }

    /// Goes to where the last `lines` lines begin.
    fn seek_tail(&mut self, lines: usize) -> io::Result<()> {
        const BLOCK: u64 = 64 << 10;
        let file = self.file.get_mut();
        let end = file.seek(SeekFrom::End(0))?;
        let (mut at, mut found) = (end, 0);
        while at > 0 {
            let from = at.saturating_sub(BLOCK);
            let mut block = Vec::new();
            file.seek(SeekFrom::Start(from))?;
            file.take(at - from).read_to_end(&mut block)?;
            for (index, byte) in block.iter().enumerate().rev() {
                let position = from + index as u64 + 1;
                if *byte == b'\n' && position < end {
                    found += 1;
                }
                if *byte == b'\n' && (found >= lines || lines == 0) {
                    self.file.seek(SeekFrom::Start(if lines == 0 { end } else { position }))?;
                    return Ok(());
                }
            }
            at = from;
        }
        self.file.seek(SeekFrom::Start(0)).map(drop)
    }
}

fn inode(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|metadata| metadata.ino())
}

/// Sends the log through the channel: what is there, and when following what comes until `ended`.
pub(crate) async fn read(
    path: PathBuf,
    query: LogQuery,
    ended: impl Future<Output = ()>,
    to: mpsc::Sender<Bytes>,
) -> io::Result<()> {
    // Watching starts before reading, so that nothing is written in between unseen.
    let watch = if query.follow { Some(Watch::new(&path)?) } else { None };
    let mut tailer = Tailer::open(&path)?;
    if let Some(lines) = query.tail {
        tailer.seek_tail(lines)?;
    }
    let mut filter = Filter::new(query);
    let mut over = watch.is_none();
    tokio::pin!(ended);
    loop {
        let chunk = tailer.chunk(&mut filter)?;
        if !chunk.is_empty() {
            if to.send(chunk.into()).await.is_err() {
                return Ok(());
            }
            continue;
        }
        let Some(watch) = watch.as_ref().filter(|_| !over && filter.left > 0) else {
            return Ok(());
        };
        tokio::select! {
            changed = watch.changed() => changed?,
            () = &mut ended => over = true,
            () = to.closed() => return Ok(()),
        }
    }
}

/// The kernel's word that a log grew or was replaced.
struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    fn new(path: &Path) -> io::Result<Self> {
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        let fd = inotify::init(flags)?;
        let events = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&fd, path.parent().unwrap_or(path), events)?;
        #[expect(deprecated, reason = "unsound only for types that lie about their descriptor")]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Self(fd))
    }

    async fn changed(&self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let mut guard = self.0.readable().await?;
        // Which change it was does not matter.
        let _ = guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut buffer)?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, query: LogQuery) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        std::fs::write(&path, text).unwrap();
        let mut tailer = Tailer::open(&path).unwrap();
        if let Some(lines) = query.tail {
            tailer.seek_tail(lines).unwrap();
        }
        let mut filter = Filter::new(query);
        String::from_utf8(tailer.chunk(&mut filter).unwrap()).unwrap()
    }

    const LOG: &str = "2026-01-01T00:00:01Z stdout F one\n2026-01-01T00:00:02Z stderr P tw\n\
         2026-01-01T00:00:02Z stderr F o\nrubbish\n2026-01-01T00:00:03Z stdout F three\ntorn";

    fn query() -> LogQuery {
        LogQuery { stream: "All".into(), ..LogQuery::default() }
    }

    #[test]
    fn filters() {
        assert_eq!(rendered(LOG, query()), "one\ntwo\nthree\n");
        let since = Time::parse("2026-01-01T00:00:02Z");
        assert_eq!(rendered(LOG, LogQuery { since, ..query() }), "two\nthree\n");
        assert_eq!(rendered(LOG, LogQuery { limit_bytes: Some(5), ..query() }), "one\nt");
        assert_eq!(rendered(LOG, LogQuery { stream: "Stderr".into(), ..query() }), "two\n");
        let stamped = rendered(LOG, LogQuery { timestamps: true, ..query() });
        assert_eq!(stamped.lines().nth(1), Some("2026-01-01T00:00:02Z two"));
    }

    #[test]
    fn nothing_is_lost_when_the_log_is_moved_aside_twice_between_two_looks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let aged = |age: u32| dir.path().join(format!("0.log.{age}"));
        std::fs::write(&path, "a b F 1\n").unwrap();
        let mut tailer = Tailer::open(&path).unwrap();
        let mut filter = Filter::new(query());
        let mut said = |tailer: &mut Tailer| {
            let mut all = Vec::new();
            while let Some(more) =
                Some(tailer.chunk(&mut filter).unwrap()).filter(|m| !m.is_empty())
            {
                all.extend(more);
            }
            String::from_utf8(all).unwrap()
        };
        assert_eq!(said(&mut tailer), "1\n");
        let append = |text: &str| {
            let mut file = File::options().append(true).create(true).open(&path).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        };
        append("a b F 2\n");
        std::fs::rename(&path, aged(1)).unwrap();
        append("a b F 3\n");
        std::fs::rename(aged(1), aged(2)).unwrap();
        std::fs::rename(&path, aged(1)).unwrap();
        append("a b F 4\n");
        assert_eq!(said(&mut tailer), "2\n3\n4\n");
        append("a b F 5\n");
        assert_eq!(said(&mut tailer), "5\n");
    }

    #[test]
    fn the_newest_lines() {
        let log = "a b F 1\na b F 2\na b F 3\n";
        let tail = |n| rendered(log, LogQuery { tail: Some(n), ..query() });
        assert_eq!((tail(0), tail(1), tail(2)), (String::new(), "3\n".into(), "2\n3\n".into()));
        assert_eq!(tail(9), "1\n2\n3\n");
    }
}
