//! Reading and writing key material.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// What went wrong, with which file.
#[derive(Debug)]
pub struct PkiError {
    pub path: PathBuf,
    pub cause: String,
}

impl PkiError {
    pub(crate) fn new(path: &Path, cause: impl fmt::Display) -> Self {
        Self { path: path.into(), cause: cause.to_string() }
    }
}

impl fmt::Display for PkiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.cause)
    }
}

impl std::error::Error for PkiError {}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// Mode 0600.
    Private,
    /// Mode 0644.
    Public,
}

/// The file's text; `None` when it does not exist.
pub fn read(path: &Path) -> Result<Option<String>, PkiError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(PkiError::new(path, e)),
    }
}

/// Replaces the file as a whole: a reader sees the old text or the new one. Its owner stays, and a link to it as well.
pub fn write(path: &Path, text: &str, secrecy: Secrecy) -> Result<(), PkiError> {
    let existing = fs::canonicalize(path);
    let path = existing.as_deref().unwrap_or(path);
    let fail = |e: std::io::Error| PkiError::new(path, e);
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let fresh = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let mode = if secrecy == Secrecy::Private { 0o600 } else { 0o644 };
    let mut options = fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(mode).open(&fresh).map_err(fail)?;
    file.write_all(text.as_bytes()).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    if let Ok(before) = fs::metadata(path) {
        fchown(&file, Some(before.uid()), Some(before.gid())).map_err(fail)?;
    }
    fs::rename(&fresh, path).map_err(fail)
}

/// Creates the directory with mode 0700 when it is missing.
pub fn make_dir(path: &Path) -> Result<(), PkiError> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(|e| PkiError::new(path, e))
}
