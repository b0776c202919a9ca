//! Why a build failed.

use std::fmt;

pub type Result<T> = std::result::Result<T, BuildError>;

/// A failure: one message, and the exit code of the command that failed if it was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    pub message: String,
    pub code: Option<i32>,
    /// The tree of the failed RUN as an image, when it was asked for.
    pub tree: Option<oci::Digest>,
}

impl BuildError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: None, tree: None }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BuildError {}

impl From<image::Error> for BuildError {
    fn from(e: image::Error) -> Self {
        Self::new(e.to_string())
    }
}

impl From<engine::EngineError> for BuildError {
    fn from(e: engine::EngineError) -> Self {
        Self::new(e.message)
    }
}

impl From<dockerfile::Problem> for BuildError {
    fn from(e: dockerfile::Problem) -> Self {
        Self::new(e.to_string())
    }
}

/// Says what was being done.
pub trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| BuildError::new(format!("{}: {e}", what())))
    }
}
