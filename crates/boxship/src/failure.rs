//! What a person at a terminal reads when a command fails.

use std::fmt;

/// `error / cause / hint`.
#[derive(Debug)]
pub struct Failure {
    /// What failed, on which object.
    what: String,
    cause: String,
    hint: Option<&'static str>,
}

impl Failure {
    pub fn new(what: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self { what: what.into(), cause: cause.to_string(), hint: None }
    }

    pub fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.what)?;
        writeln!(f, "cause: {}", self.cause)?;
        match self.hint {
            Some(hint) => writeln!(f, "hint:  {hint}"),
            None => Ok(()),
        }
    }
}
