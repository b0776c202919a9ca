//! Where audit lines go: a file, written by a thread of its own.

use meta::Value;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Lines that may wait for the disk; beyond that they are dropped and their number is logged.
const WAITING: usize = 10_000;

/// Accepts events without blocking. Clones write to the same file.
#[derive(Debug, Clone)]
pub struct AuditSink(SyncSender<String>);

impl AuditSink {
    /// Appends to the file at `path` (created with mode 0600).
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not be started.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let (sender, lines) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("audit".into())
            .stack_size(128 * 1024)
            .spawn(move || run(file, &lines))?;
        Ok(Self(sender))
    }

    pub(super) fn write(&self, event: &Value) {
        if let Err(TrySendError::Full(_)) = self.0.try_send(event.to_string()) {
            tracing::error!("audit: the disk is too slow, an event was dropped");
        }
    }
}

/// Writes what comes, and syncs to the file whenever nothing is waiting.
fn run(file: File, lines: &Receiver<String>) {
    let mut out = BufWriter::new(file);
    while let Ok(first) = lines.recv() {
        let batch = std::iter::once(first).chain(lines.try_iter());
        let written = batch.into_iter().try_for_each(|line| writeln!(out, "{line}"));
        if let Err(error) = written.and_then(|()| out.flush()) {
            tracing::error!("audit: writing events: {error}");
        }
    }
}
