//! The few things a log asks of a disk, and the real one.

use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One flat directory. A clone is another handle to the same one.
pub trait Disk: Clone + Send + 'static {
    type File: DiskFile;

    /// Where this is, for error messages.
    fn place(&self, name: &str) -> String;
    fn names(&self) -> io::Result<Vec<String>>;
    /// The file from an offset on.
    fn read(&self, name: &str, offset: u64) -> io::Result<Box<dyn Read>>;
    /// A new empty file (replacing an old one) that only the owner may read.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// An existing file, to be written to.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_names(&self) -> io::Result<()>;
}

pub trait DiskFile: Send {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Returns once what was written is durable.
    fn sync(&mut self) -> io::Result<()>;
    fn size(&self) -> io::Result<u64>;
}

/// Writes a file from its beginning.
pub(crate) struct Sink<F> {
    file: F,
    at: u64,
}

impl<F: DiskFile> Sink<F> {
    pub fn new(file: F) -> Self {
        Self { file, at: 0 }
    }

    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}

impl<F: DiskFile> Write for Sink<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.at, bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Replaces `name` by `bytes`, wholly or not at all.
pub(crate) fn replace<D: Disk>(disk: &D, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.tmp");
    let mut file = disk.create(&temporary)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    disk.rename(&temporary, name)?;
    disk.sync_names()
}

/// A directory of the file system, locked against other processes for as long as a handle lives.
#[derive(Debug, Clone)]
pub struct RealDisk {
    dir: Arc<PathBuf>,
    _lock: Arc<File>,
}

impl RealDisk {
    /// Creates the directory (mode 0700) when there is none.
    ///
    /// # Errors
    /// When another process has it open, or it cannot be made or read.
    pub fn open(dir: &Path) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let lock = private().create(true).truncate(false).open(dir.join("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|cause| {
            let dir = dir.display();
            io::Error::new(
                io::ErrorKind::WouldBlock,
                format!("{dir} is in use by another server ({cause}); hint: stop it, or use another data directory"),
            )
        })?;
        Ok(Self { dir: Arc::new(dir.into()), _lock: Arc::new(lock) })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

impl Disk for RealDisk {
    type File = File;

    fn place(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&*self.dir)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn read(&self, name: &str, offset: u64) -> io::Result<Box<dyn Read>> {
        let mut file = File::open(self.dir.join(name))?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }

    fn create(&self, name: &str) -> io::Result<File> {
        private().create(true).truncate(true).open(self.dir.join(name))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        private().open(self.dir.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.dir.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&*self.dir)?.sync_all()
    }
}

impl DiskFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
