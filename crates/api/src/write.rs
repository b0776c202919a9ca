//! Writes.

/// How the answer is made once the store has committed.
#[derive(Debug, Clone, Default)]
pub struct Then {}
