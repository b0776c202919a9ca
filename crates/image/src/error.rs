//! The one error of this crate: a kind for the caller's status code and a text for the user.

use std::fmt;
use std::path::Path;

/// What went wrong, as far as a caller decides by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No such image, snapshot, blob (404).
    NotFound,
    /// In use, ambiguous (409).
    Conflict,
    /// Bad input of the caller: references, tars, manifests (400).
    Invalid,
    /// The registry wants other credentials (401).
    Unauthorized,
    /// The registry refuses (403).
    Denied,
    /// The registry cannot be reached or answers nonsense (502).
    Unavailable,
    /// This machine failed (500).
    Internal,
}

/// `Display` gives Docker's text where Docker has one.
#[derive(Debug)]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
    pub source: Option<std::io::Error>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// `No such image: NAME`.
    pub fn no_such_image(name: &str) -> Self {
        Self::not_found(format!("No such image: {name}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(cause) => write!(f, "{}: {cause}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

/// Says what was being done when an operating system call failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: &str) -> Result<T>;
    fn at(self, what: &str, path: &Path) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|e| from_io(what.into(), e.into()))
    }

    fn at(self, what: &str, path: &Path) -> Result<T> {
        self.map_err(|e| from_io(format!("{what} {}", path.display()), e.into()))
    }
}

/// An [`Error`] that travelled inside an `io::Error` (through a `Read`) comes out whole.
fn from_io(message: String, error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(inner) => inner,
        Err(error) => Error { kind: ErrorKind::Internal, message, source: Some(error) },
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

impl From<oci::ReferenceError> for Error {
    fn from(error: oci::ReferenceError) -> Self {
        Self::invalid(error.to_string())
    }
}
