//! The log itself: the newest snapshot, the segments after it, and the change from old to new ones.

use crate::control::Control;
use crate::disk::{Disk, Sink};
use crate::frame::{self, Frames, Kind, Next, SECTOR, Tail, judge};
use crate::keys::Keys;
use crate::record::Codec;
use crate::segment::{self, Segment};
use crate::snapshot::{self, broken_at, damage, unreadable};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::thread::JoinHandle;
use store::{Log, LogError, Record, Snapshot, View};

/// How a log is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Resources whose objects are encrypted on the disk, as `secrets`, `tokens.example.com`.
    pub sealed: Vec<String>,
    /// A snapshot is taken when the segments have grown beyond this and beyond the last snapshot.
    pub snapshot_bytes: u64,
    /// Whether automatic snapshots are written by a thread of their own while appending goes on; a
    /// simulation has no threads.
    pub aside: Aside,
}

/// Who writes automatic snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    Thread,
    Caller,
}

impl Default for Options {
    fn default() -> Self {
        Self { sealed: vec!["secrets".into()], snapshot_bytes: 16 << 20, aside: Aside::Thread }
    }
}

/// The durable log on a disk.
pub struct Wal<D: Disk> {
    disk: D,
    codec: Codec,
    options: Options,
    /// Absent until the replay has found where it ends.
    segment: Option<Segment<D::File>>,
    last: u64,
    frame: Vec<u8>,
    growth: Growth,
    writing: Option<JoinHandle<io::Result<u64>>>,
}

/// Bytes, for deciding when a snapshot is due.
struct Growth {
    /// In closed segments that the next snapshot makes superfluous.
    closed: u64,
    snapshot: u64,
    /// After a failure: not before this many bytes of segments.
    not_before: u64,
}

/// The files of a log.
#[derive(Default)]
struct Files {
    snapshot: Option<u64>,
    /// Of the snapshot and later.
    segments: Vec<u64>,
    superfluous: Vec<String>,
}

impl<D: Disk> Wal<D> {
    /// Reads the key file (or makes one); the records are read by [`Log::replay`].
    ///
    /// # Errors
    /// When the disk or the key file cannot be used.
    pub fn open(disk: D, options: Options) -> Result<Self, LogError> {
        let keys = Keys::load(&disk).map_err(|error| unreadable("the store's key file", &error))?;
        let codec = Codec { keys, sealed: options.sealed.clone().into() };
        let growth = Growth { closed: 0, snapshot: 0, not_before: 0 };
        let (segment, writing) = (None, None);
        Ok(Self { disk, codec, options, segment, last: 0, frame: Vec::new(), growth, writing })
    }

    pub fn control(&self) -> Control<D> {
        Control::new(self.disk.clone(), self.codec.clone())
    }

    fn files(&self) -> io::Result<Files> {
        let mut names = self.disk.names()?;
        names.sort();
        let revisions = |prefix: &str| -> Vec<u64> {
            let suffixes = names.iter().filter_map(|name| name.strip_prefix(prefix));
            suffixes.filter_map(|hex| u64::from_str_radix(hex, 16).ok()).collect()
        };
        let snapshot = revisions("snapshot-").last().copied();
        let segments: Vec<u64> =
            revisions("log-").into_iter().filter(|r| *r >= snapshot.unwrap_or(0)).collect();
        let wanted = |name: &str| {
            snapshot.is_some_and(|r| name == snapshot::name(r))
                || segments.iter().any(|r| name == segment::name(*r))
        };
        let ours = |name: &str| {
            name.starts_with("log-") || name.starts_with("snapshot-") || name.ends_with(".tmp")
        };
        let superfluous =
            names.iter().filter(|name| ours(name) && !wanted(name)).cloned().collect();
        Ok(Files { snapshot, segments, superfluous })
    }

    fn read_snapshot(
        &mut self,
        revision: u64,
        each: &mut dyn FnMut(Record<'_>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let name = snapshot::name(revision);
        let place = self.disk.place(&name);
        let file = self.disk.read(&name, 0).map_err(|error| unreadable(&place, &error))?;
        let (found, size) = snapshot::read(&place, BufReader::new(file), &self.codec, each)?;
        if found != revision {
            return Err(damage(&place, 0, "its name and its header disagree"));
        }
        (self.last, self.growth.snapshot) = (revision, size);
        Ok(())
    }

    /// Reads the segment after `self.last` and answers where its frames end.
    fn read_segment(
        &mut self,
        revision: u64,
        each: &mut dyn FnMut(Record<'_>) -> Result<(), LogError>,
    ) -> Result<u64, LogError> {
        let name = segment::name(revision);
        let place = self.disk.place(&name);
        if revision != self.last {
            let what = format!("records {} to {revision} are missing before it", self.last + 1);
            return Err(damage(&place, 0, &what));
        }
        let file = self.disk.read(&name, 0).map_err(|error| unreadable(&place, &error))?;
        let mut file = BufReader::with_capacity(1 << 16, file);
        if snapshot::read_header(&place, &mut file, Kind::Segment)? != revision {
            return Err(damage(&place, 0, "its name and its header disagree"));
        }
        let (mut frames, mut payload) = (Frames::new(file), Vec::new());
        loop {
            let at = frames.at;
            match frames.next(&mut payload).map_err(|error| unreadable(&place, &error))? {
                Next::Frame => self.read_group(&place, at, &payload, each)?,
                Next::End | Next::Bad => return Ok(at),
            }
        }
    }

    fn read_group(
        &mut self,
        place: &str,
        at: u64,
        payload: &[u8],
        each: &mut dyn FnMut(Record<'_>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let mut last = self.last;
        let mut gap = None;
        let read = self.codec.each(payload, &mut |record| {
            if record.revision != last + 1 {
                gap.get_or_insert((last + 1, record.revision));
            }
            last = record.revision;
            each(record)
        });
        read.map_err(|broken| broken_at(place, at, broken))?;
        if let Some((wanted, found)) = gap {
            let what = format!("record {wanted} should stand here, but it is {found}");
            return Err(damage(place, at, &what));
        }
        self.last = last;
        Ok(())
    }

    /// Whether the frames of a segment may end at `at`. Only the last one may have a torn end.
    fn check_end(&self, revision: u64, at: u64, is_last: Position) -> Result<(), LogError> {
        let name = segment::name(revision);
        let place = self.disk.place(&name);
        let (mut bytes, sector) = (Vec::new(), at - at % SECTOR as u64);
        self.disk
            .read(&name, sector)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(|error| unreadable(&place, &error))?;
        match (judge(&bytes, (at - sector) as usize), is_last) {
            (Tail::Clean, _) | (Tail::Torn, Position::Last) => Ok(()),
            _ => Err(damage(&place, at, "a record is damaged")),
        }
    }

    fn remove(&self, names: &[String]) -> io::Result<()> {
        names.iter().try_for_each(|name| self.disk.remove(name))?;
        if names.is_empty() { Ok(()) } else { self.disk.sync_names() }
    }

    fn write(&mut self, batch: &[Record<'_>]) -> io::Result<()> {
        frame::begin(&mut self.frame);
        batch.iter().for_each(|record| self.codec.put(&mut self.frame, record));
        frame::finish(&mut self.frame)?;
        let segment =
            self.segment.as_mut().ok_or_else(|| io::Error::other("it was not replayed"))?;
        segment.append(&self.frame)?;
        if self.frame.capacity() > 4 << 20 {
            self.frame = Vec::new();
        }
        Ok(())
    }

    fn due(&self) -> bool {
        let open = self.segment.as_ref().map_or(0, Segment::end);
        let segments = self.growth.closed + open;
        let threshold = self.options.snapshot_bytes.max(self.growth.snapshot);
        segments > threshold.max(self.growth.not_before)
    }

    /// From here on records go to a new segment, so that a snapshot makes the old ones superfluous.
    fn turn(&mut self) -> io::Result<()> {
        let fresh = segment::create(&self.disk, self.last)?;
        let old = self.segment.replace(fresh);
        self.growth.closed += old.map_or(0, |segment| segment.end());
        Ok(())
    }

    /// After a snapshot was written, or could not be.
    fn settle(&mut self, written: io::Result<u64>) -> Result<(), LogError> {
        let done = written.and_then(|size| {
            let files = self.files()?;
            self.remove(&files.superfluous)?;
            Ok(size)
        });
        match done {
            Ok(snapshot) => {
                self.growth = Growth { closed: 0, snapshot, not_before: 0 };
                Ok(())
            }
            Err(error) => {
                let open = self.segment.as_ref().map_or(0, Segment::end);
                let more = self.options.snapshot_bytes / 2;
                self.growth.not_before = self.growth.closed + open + more;
                Err(failed("a snapshot cannot be written", &error))
            }
        }
    }

    fn join(&mut self) -> Result<(), LogError> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        let written = writing.join();
        self.settle(written.unwrap_or_else(|_| Err(io::Error::other("its thread panicked"))))
    }

    fn snapshot_now(&mut self, view: &View) -> Result<(), LogError> {
        let written =
            self.turn_for(view).and_then(|()| write_snapshot(&self.disk, &self.codec, view));
        self.settle(written)
    }

    fn snapshot_aside(&mut self, view: &View) -> Result<(), LogError> {
        if let Err(error) = self.turn_for(view) {
            return self.settle(Err(error));
        }
        let (disk, codec, view) = (self.disk.clone(), self.codec.clone(), view.clone());
        let thread = std::thread::Builder::new().name("store-snapshot".into());
        match thread.spawn(move || write_snapshot(&disk, &codec, &view)) {
            Ok(writing) => self.writing = Some(writing),
            Err(error) => return self.settle(Err(error)),
        }
        Ok(())
    }

    /// The view is always the newest: what is appended later goes to the segment after it.
    fn turn_for(&mut self, view: &View) -> io::Result<()> {
        if view.revision() != self.last {
            return Err(io::Error::other("the view is not at the end of the log"));
        }
        // A segment without records already starts where the snapshot will end.
        let empty = self.segment.as_ref().is_some_and(|s| s.end() == frame::HEADER as u64);
        if empty { Ok(()) } else { self.turn() }
    }
}

#[derive(Clone, Copy)]
enum Position {
    Last,
    Earlier,
}

fn write_snapshot<D: Disk>(disk: &D, codec: &Codec, view: &View) -> io::Result<u64> {
    let name = snapshot::name(view.revision());
    let temporary = format!("{name}.tmp");
    let written = disk.create(&temporary).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 16, Sink::new(file));
        let size = snapshot::write(view, codec, &mut out)?;
        out.flush()?;
        out.get_mut().sync()?;
        disk.rename(&temporary, &name)?;
        disk.sync_names()?;
        Ok(size)
    });
    if written.is_err() {
        // Its space is wanted back at once; what cannot be removed now is at the next start.
        let _ = disk.remove(&temporary);
    }
    written
}

pub(crate) fn failed(what: &str, error: &io::Error) -> LogError {
    LogError { message: format!("{what}: {error}"), transient: true }
}

impl<D: Disk> Log for Wal<D> {
    fn append(&mut self, batch: &[Record<'_>]) -> Result<(), LogError> {
        self.write(batch).map_err(|error| failed("the log cannot be written", &error))?;
        self.last = batch.last().map_or(self.last, |record| record.revision);
        Ok(())
    }

    fn replay(
        &mut self,
        each: &mut dyn FnMut(Record<'_>) -> Result<(), LogError>,
    ) -> Result<u64, LogError> {
        let files = self.files().map_err(|error| unreadable("the log's directory", &error))?;
        if let Some(revision) = files.snapshot {
            self.read_snapshot(revision, each)?;
        }
        let mut end = None;
        for (i, revision) in files.segments.iter().copied().enumerate() {
            let at = self.read_segment(revision, each)?;
            let is_last = i + 1 == files.segments.len();
            let position = if is_last { Position::Last } else { Position::Earlier };
            self.check_end(revision, at, position)?;
            end = Some((revision, at));
            self.growth.closed += if is_last { 0 } else { at };
        }
        if end.is_none() && files.snapshot.is_some() {
            let place = self.disk.place(&segment::name(self.last));
            return Err(damage(&place, 0, "the segment after the snapshot is missing"));
        }
        // Only now: a log that is refused stays as it is.
        self.remove(&files.superfluous)
            .map_err(|error| failed("superfluous files cannot be removed", &error))?;
        let segment = match end {
            Some((revision, at)) => segment::resume(&self.disk, revision, at),
            None => segment::create(&self.disk, self.last),
        };
        self.segment = Some(segment.map_err(|error| failed("the log cannot be written", &error))?);
        Ok(self.last)
    }

    fn snapshot(&mut self, view: &View, wanted: Snapshot) -> Result<(), LogError> {
        let running = self.writing.as_ref().is_some_and(|writing| !writing.is_finished());
        match wanted {
            Snapshot::Now => {
                // Its outcome does not matter: this one makes it superfluous.
                let _ = self.join();
                self.snapshot_now(view)
            }
            Snapshot::IfGrown if running => Ok(()),
            Snapshot::IfGrown => {
                self.join()?;
                match (self.due(), self.options.aside) {
                    (false, _) => Ok(()),
                    (true, Aside::Thread) => self.snapshot_aside(view),
                    (true, Aside::Caller) => self.snapshot_now(view),
                }
            }
        }
    }
}

impl<D: Disk> Drop for Wal<D> {
    fn drop(&mut self) {
        // A snapshot that cannot be finished is made again after the next start.
        let _ = self.join();
    }
}
