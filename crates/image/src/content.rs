//! Blobs by digest: `blobs/<algorithm>/<hex>`, and partial files under `ingest/`.
//!
//! A blob appears under its name only when it is whole and its digest is right, by an atomic
//! rename; a crash leaves at most partial files, which are resumed or freed.

use crate::error::Doing as _;
use crate::{Error, Result};
use oci::{Algorithm, Digest, Hasher};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    root: PathBuf,
}

impl Blobs {
    pub fn open(root: &Path) -> Result<Self> {
        for folder in ["blobs/sha256", "blobs/sha512", "ingest"] {
            fs::create_dir_all(root.join(folder)).at("cannot make", &root.join(folder))?;
        }
        Ok(Self { root: root.into() })
    }

    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// Its length, `None` when it is not there.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.path(digest)).ok().map(|m| m.len())
    }

    pub fn has(&self, digest: &Digest) -> bool {
        self.size(digest).is_some()
    }

    /// A whole blob of at most `limit` bytes.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let mut file = self.file(digest)?;
        let size = file.metadata().at("cannot read", &self.path(digest))?.len();
        if size > limit {
            return Err(Error::invalid(format!("{digest} is too large to be a document")));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.read_to_end(&mut bytes).at("cannot read", &self.path(digest))?;
        Ok(bytes)
    }

    pub fn file(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::not_found(format!("blob {digest} not found")),
            _ => Error {
                source: Some(e),
                ..Error::internal(format!("cannot open {}", path.display()))
            },
        })
    }

    /// Stores a small document.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::sha256(bytes);
        self.put_as(bytes, &digest)?;
        Ok(digest)
    }

    /// Stores a document that must have `digest`.
    pub fn put_as(&self, bytes: &[u8], digest: &Digest) -> Result<()> {
        if self.has(digest) {
            return Ok(());
        }
        let mut writer = self.writer()?;
        writer.write_all(bytes).doing("cannot write a blob")?;
        writer.commit(Some(digest), digest.algorithm()).map(|_| ())
    }

    /// A new blob of unknown digest.
    pub fn writer(&self) -> Result<BlobWriter> {
        let path = self.root.join("ingest").join(format!("tmp-{}", random_name()));
        let file = OpenOptions::new().write(true).read(true).create_new(true).open(&path);
        let file = file.at("cannot make", &path)?;
        Ok(BlobWriter {
            blobs: self.clone(),
            path,
            file,
            hasher: Hasher::new(Algorithm::Sha256),
            size: 0,
        })
    }

    /// Where a download of `digest` is collected; survives interruptions.
    pub fn partial(&self, digest: &Digest) -> PathBuf {
        self.root.join("ingest").join(format!(
            "{}-{}.part",
            digest.algorithm().name(),
            digest.hex()
        ))
    }

    /// Gives a complete, verified partial file its name. It is on disk before it has the name, so
    /// that a power cut leaves no torn blob under a digest it does not have.
    pub fn promote(&self, partial: &Path, digest: &Digest) -> Result<()> {
        sync(partial)?;
        let path = self.path(digest);
        fs::rename(partial, &path).at("cannot name the blob", partial)?;
        sync(path.parent().expect("blobs lie in folders"))
    }

    pub fn delete(&self, digest: &Digest) -> Result<u64> {
        let path = self.path(digest);
        let size = self.size(digest).unwrap_or(0);
        match fs::remove_file(&path) {
            Ok(()) => Ok(size),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(e).at("cannot delete", &path),
        }
    }

    /// All blobs with their sizes.
    pub fn list(&self) -> Result<Vec<(Digest, u64)>> {
        let mut all = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let folder = self.root.join("blobs").join(algorithm.name());
            for entry in fs::read_dir(&folder).at("cannot list", &folder)? {
                let entry = entry.at("cannot list", &folder)?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let size = entry.metadata().map_or(0, |m| m.len());
                if let Ok(digest) = format!("{}:{name}", algorithm.name()).parse() {
                    all.push((digest, size));
                }
            }
        }
        all.sort();
        Ok(all)
    }

    /// Files under `ingest/` with their sizes.
    pub fn partials(&self) -> Result<Vec<(PathBuf, u64)>> {
        let folder = self.root.join("ingest");
        let mut all = Vec::new();
        for entry in fs::read_dir(&folder).at("cannot list", &folder)? {
            let entry = entry.at("cannot list", &folder)?;
            all.push((entry.path(), entry.metadata().map_or(0, |m| m.len())));
        }
        all.sort();
        Ok(all)
    }
}

/// A blob being written; dropped without [`BlobWriter::commit`] it leaves nothing.
#[derive(Debug)]
pub(crate) struct BlobWriter {
    blobs: Blobs,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    size: u64,
}

impl BlobWriter {
    /// Checks against `wanted`, if any, and publishes. Answers digest and size.
    pub fn commit(
        mut self,
        wanted: Option<&Digest>,
        algorithm: Algorithm,
    ) -> Result<(Digest, u64)> {
        let digest = match algorithm {
            Algorithm::Sha256 => {
                std::mem::replace(&mut self.hasher, Hasher::new(Algorithm::Sha256)).finish()
            }
            Algorithm::Sha512 => hash_file(&self.path, algorithm)?,
        };
        if wanted.is_some_and(|w| *w != digest) {
            return Err(Error::invalid(format!(
                "content does not match digest: {digest} instead of {}",
                wanted.expect("just checked")
            )));
        }
        self.blobs.promote(&self.path, &digest)?;
        Ok((digest, self.size))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let put = self.file.write(bytes)?;
        self.hasher.update(&bytes[..put]);
        self.size += put as u64;
        Ok(put)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        // After a commit the file has moved away and this finds nothing.
        let _ = fs::remove_file(&self.path);
    }
}

/// Waits until a file's content, or the names in a folder, are on disk.
pub(crate) fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_data()).at("cannot sync", path)
}

/// The digest of a file's content.
pub(crate) fn hash_file(path: &Path, algorithm: Algorithm) -> Result<Digest> {
    let mut file = File::open(path).at("cannot open", path)?;
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer).at("cannot read", path)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// 16 random hexadecimal characters for names of temporary files.
pub(crate) fn random_name() -> String {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the kernel always has random bytes");
    format!("{:016x}", u64::from_le_bytes(bytes))
}
