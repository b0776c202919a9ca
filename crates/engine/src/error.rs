//! What an engine operation may fail with.

use std::fmt;

pub type Result<T> = std::result::Result<T, EngineError>;

/// Why the operation failed; every face maps this to its own status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The named object does not exist.
    NotFound,
    /// The object's present state forbids it.
    Conflict,
    /// The request itself is wrong.
    Invalid,
    /// Valid, but never allowed.
    Forbidden,
    /// The caller's credentials are missing or wrong.
    Unauthorized,
    /// There is nothing to do.
    NotModified,
    /// A part this needs is not there at the moment.
    Unavailable,
    /// This engine cannot do it.
    Unsupported,
    /// The machine failed us.
    System,
}

/// A failure: its kind and one message that names the object and the cause.
#[derive(Debug, Clone)]
pub struct EngineError {
    pub kind: Kind,
    pub message: String,
}

impl EngineError {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, message)
    }
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }
    pub fn system(message: impl Into<String>) -> Self {
        Self::new(Kind::System, message)
    }
    /// The same failure with what was being done in front.
    #[must_use]
    pub fn context(self, doing: &str) -> Self {
        Self { kind: self.kind, message: format!("{doing}: {}", self.message) }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EngineError {}

impl From<std::io::Error> for EngineError {
    fn from(e: std::io::Error) -> Self {
        Self::system(e.to_string())
    }
}

/// Adds what was being done, and to what, to a foreign error.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| EngineError::system(format!("{}: {e}", what())))
    }
}
