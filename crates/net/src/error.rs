//! What went wrong, on what, and the cause.

use std::io;

/// A kernel request that failed. The text names the request and its object.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct Error {
    pub what: String,
    #[source]
    pub cause: io::Error,
}

impl Error {
    /// An error of `what` with its cause.
    pub fn new(what: impl Into<String>, cause: impl Into<io::Error>) -> Error {
        Error { what: what.into(), cause: cause.into() }
    }

    /// The errno, when the cause has one.
    pub fn errno(&self) -> Option<i32> {
        self.cause.raw_os_error()
    }
}

/// Adds what was being done to an IO error.
pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|cause| Error::new(what(), cause))
    }
}
