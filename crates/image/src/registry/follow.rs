//! Reading a file while it is being downloaded, so that unpacking does not wait for the end.

use crate::Error;
use oci::{Digest, Hasher};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Condvar, Mutex};

/// How far a download is.
#[derive(Default)]
pub(super) struct Tide {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default, Clone, Copy)]
struct State {
    written: u64,
    end: Option<End>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Failed,
}

impl Tide {
    /// The first `written` bytes of the file are there.
    pub fn rise(&self, written: u64) {
        self.state.lock().expect("no panic while held").written = written;
        self.moved.notify_all();
    }

    pub fn complete(&self) {
        self.finish(End::Complete);
    }

    fn finish(&self, end: End) {
        let mut state = self.state.lock().expect("no panic while held");
        state.end = state.end.or(Some(end));
        self.moved.notify_all();
    }

    /// Waits until more than `have` bytes are there; `None` at the end.
    fn beyond(&self, have: u64) -> io::Result<Option<u64>> {
        let mut state = self.state.lock().expect("no panic while held");
        loop {
            match state.end {
                Some(End::Failed) => return Err(Error::internal("the download failed").into()),
                _ if state.written > have => return Ok(Some(state.written)),
                Some(End::Complete) => return Ok(None),
                None => state = self.moved.wait(state).expect("no panic while held"),
            }
        }
    }
}

/// Marks the download failed unless it completed: the reader must never wait for ever.
pub(super) struct Downloading(pub Arc<Tide>);

impl Drop for Downloading {
    fn drop(&mut self) {
        self.0.finish(End::Failed);
    }
}

/// Reads behind the download and hashes what passes.
pub(super) struct Follower {
    file: File,
    at: u64,
    tide: Arc<Tide>,
    hasher: Hasher,
}

impl Follower {
    pub fn new(file: File, tide: Arc<Tide>, digest: &Digest) -> Self {
        Self { file, at: 0, tide, hasher: Hasher::new(digest.algorithm()) }
    }

    /// Reads what nobody wanted (padding behind the compressed stream) and answers the digest.
    pub fn digest(mut self) -> io::Result<Digest> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.hasher.finish())
    }
}

impl Read for Follower {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(written) = self.tide.beyond(self.at)? else {
            return Ok(0);
        };
        let most = usize::try_from(written - self.at).map_or(buf.len(), |n| n.min(buf.len()));
        let got = self.file.read_at(&mut buf[..most], self.at)?;
        self.hasher.update(&buf[..got]);
        self.at += got as u64;
        Ok(got)
    }
}
