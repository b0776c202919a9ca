//! The answer to a request, before anyone thought about its representation.

use meta::{Details, Value};
use std::sync::Arc;
use store::Object;

#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub body: Body,
    /// Each becomes a `Warning: 299` header.
    pub warnings: Vec<String>,
}

#[derive(Debug)]
pub enum Body {
    Stored(Arc<Object>),
    /// An object at the served version, or of another kind (`Scale`, reviews), with its own type inside.
    Value(Value),
    Page(Page),
    /// `Status` Success with these details.
    Success(Box<Details>),
}

/// A list, or one page of it.
#[derive(Debug)]
pub struct Page {
    pub items: Vec<Arc<Object>>,
    pub revision: u64,
    /// `metadata.continue`
    pub token: String,
    pub remaining: Option<usize>,
}

impl Answer {
    pub fn new(code: u16, body: Body) -> Self {
        Self { code, body, warnings: Vec::new() }
    }

    pub fn ok(body: Body) -> Self {
        Self::new(200, body)
    }
}
