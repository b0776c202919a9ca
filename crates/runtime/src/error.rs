//! Errors by what the caller can do about them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Texts carry the words that docker's CLI looks for (`executable file not found in $PATH`,
/// `no such file or directory`, `permission denied`, `is a directory`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ErrorKind {
    /// No such container, sandbox or exec.
    NotFound,
    /// The id is taken.
    Exists,
    /// The container is in another state than the call needs.
    WrongState,
    /// The specification cannot be honoured; change it.
    Invalid,
    /// The program is not there (docker's 127).
    ExecNotFound,
    /// The program may not or cannot be executed (docker's 126).
    ExecDenied,
    /// The kernel refused a step.
    Kernel,
    /// The keeper is gone or broke off; connect again.
    KeeperLost,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub fn not_found(what: &str, id: &str) -> Self {
        Self::new(ErrorKind::NotFound, format!("no such {what}: `{id}`"))
    }

    pub fn exists(what: &str, id: &str) -> Self {
        Self::new(ErrorKind::Exists, format!("{what} `{id}` exists already"))
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// A failed operation of the kernel on one object.
    pub fn kernel(action: &str, object: impl fmt::Display, cause: &std::io::Error) -> Self {
        Self::new(ErrorKind::Kernel, format!("{action} `{object}`: {}", crate::errno::text(cause)))
    }

    pub fn lost(cause: &std::io::Error) -> Self {
        let text = crate::errno::text(cause);
        Self::new(ErrorKind::KeeperLost, format!("talk to the keeper: {text}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

pub type Result<T> = std::result::Result<T, Error>;
