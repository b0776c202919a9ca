//! How the store gets selection fields out of stored JSON.

use crate::catalog::Catalog;
use crate::object::head;
use std::sync::OnceLock;
use store::{Head, Heads, Key};

/// Changes whenever the selectable fields of a built-in kind change.
const VERSION: u32 = 1;

/// For [`store::Options`]. Fields of custom resources are not kept: they are read from the objects.
pub fn heads() -> Heads {
    Heads { version: VERSION, parse }
}

fn parse(key: &Key, json: &[u8]) -> Head {
    static BUILT_IN: OnceLock<Catalog> = OnceLock::new();
    let catalog = BUILT_IN.get_or_init(Catalog::built_in);
    let value = serde_json::from_slice(json).unwrap_or_default();
    match catalog.filed(&key.resource) {
        Some(served) => head(&served.fields, &value),
        None => head(&[], &value),
    }
}
