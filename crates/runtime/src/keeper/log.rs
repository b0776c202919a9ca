//! Log files: docker's json-file and the CRI format, with rotation.

use crate::spec::{LogFormat, LogSpec};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

/// Longest piece of a line that is written as one entry, as docker and containerd have it.
pub const LINE_MAX: usize = 16 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Cuts what arrives into entries and writes them; one write call per arrival.
#[derive(Debug)]
pub struct LogWriter {
    spec: LogSpec,
    file: File,
    size: u64,
    /// Unfinished lines of stdout and stderr.
    partial: [Vec<u8>; 2],
}

impl LogWriter {
    /// `None` for [`LogFormat::None`].
    pub fn open(spec: &LogSpec) -> io::Result<Option<Self>> {
        if spec.format == LogFormat::None {
            return Ok(None);
        }
        let file = OpenOptions::new().create(true).append(true).open(&spec.path)?;
        let size = file.metadata()?.len();
        Ok(Some(Self { spec: spec.clone(), file, size, partial: Default::default() }))
    }

    /// After somebody else moved the file.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.file = OpenOptions::new().create(true).append(true).open(&self.spec.path)?;
        self.size = self.file.metadata()?.len();
        Ok(())
    }

    pub fn spec(&self) -> &LogSpec {
        &self.spec
    }

    pub fn write(&mut self, stream: Stream, bytes: &[u8], now: i64) -> io::Result<()> {
        let mut partial = std::mem::take(&mut self.partial[stream as usize]);
        let mut out = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = LINE_MAX - partial.len();
            let window = &rest[..rest.len().min(room)];
            let end = window.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(window.len(), |at| at + 1);
            partial.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            if end.is_some() || partial.len() == LINE_MAX {
                self.entry(&mut out, stream, &partial, now)?;
                partial.clear();
            }
        }
        if partial.is_empty() {
            partial = Vec::new();
        }
        self.partial[stream as usize] = partial;
        self.flush(&mut out)
    }

    /// Writes what is left without a newline; the stream has ended.
    pub fn finish(&mut self, stream: Stream, now: i64) -> io::Result<()> {
        let partial = std::mem::take(&mut self.partial[stream as usize]);
        if partial.is_empty() {
            return Ok(());
        }
        let mut out = Vec::new();
        self.entry(&mut out, stream, &partial, now)?;
        self.flush(&mut out)
    }

    /// Appends one entry to `out`, rotating first when the file would grow beyond its size.
    fn entry(
        &mut self,
        out: &mut Vec<u8>,
        stream: Stream,
        text: &[u8],
        now: i64,
    ) -> io::Result<()> {
        let before = out.len();
        format_entry(self.spec.format, out, stream, text, now);
        let max = self.spec.max_size;
        if max > 0 && self.size > 0 && self.size + out.len() as u64 > max && before == 0 {
            self.rotate()?;
        } else if max > 0 && before > 0 && self.size + out.len() as u64 > max {
            let entry = out.split_off(before);
            self.flush(out)?;
            self.rotate()?;
            *out = entry;
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.file.write_all(out)?;
        self.size += out.len() as u64;
        out.clear();
        Ok(())
    }

    /// `path` becomes `path.1`, that `path.2` and so on (moby `loggerutils/logfile.go`).
    fn rotate(&mut self) -> io::Result<()> {
        if self.spec.max_files < 2 {
            self.file.set_len(0)?;
            self.size = 0;
            return Ok(());
        }
        for age in (1..self.spec.max_files - 1).rev() {
            match fs::rename(self.aged(age), self.aged(age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.spec.path, self.aged(1))?;
        self.reopen()
    }

    fn aged(&self, age: u32) -> PathBuf {
        let mut path = self.spec.path.clone().into_os_string();
        path.push(format!(".{age}"));
        path.into()
    }
}

fn format_entry(format: LogFormat, out: &mut Vec<u8>, stream: Stream, text: &[u8], now: i64) {
    let time = time(now);
    let name = stream.name();
    match format {
        LogFormat::None => {}
        LogFormat::JsonFile => {
            let text = String::from_utf8_lossy(text);
            let text = serde_json::to_string(&text).expect("a string always serialises");
            let line = format!("{{\"log\":{text},\"stream\":\"{name}\",\"time\":\"{time}\"}}\n");
            out.extend_from_slice(line.as_bytes());
        }
        LogFormat::Cri => {
            let (tag, text) = match text.strip_suffix(b"\n") {
                Some(text) => ('F', text),
                None => ('P', text),
            };
            out.extend_from_slice(format!("{time} {name} {tag} ").as_bytes());
            out.extend_from_slice(text);
            out.push(b'\n');
        }
    }
}

/// RFC 3339 in UTC with nanoseconds, as Go writes it: no trailing zeros.
pub fn time(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(nanos.into())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}
