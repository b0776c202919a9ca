//! How a response is written: representation and transformation.

/// What the client accepts, negotiated.
#[derive(Debug, Clone, Default)]
pub struct Shape {}
