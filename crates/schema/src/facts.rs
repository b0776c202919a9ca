//! The table of facts.
use crate::graph::{Struct, Type};
use meta::Gvk;

/// Index of a message in the table of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub(crate) u16);

/// The message behind an id.
pub fn message(_id: MessageId) -> &'static Struct {
    static NONE: std::sync::OnceLock<Struct> = std::sync::OnceLock::new();
    NONE.get_or_init(|| Struct {
        name: "".into(),
        go_name: "".into(),
        fields: Vec::new(),
        by_name: Vec::new(),
        inlines: Vec::new(),
        is_kind: false,
        preserve_unknown: false,
        embedded: false,
        transparent: false,
    })
}

pub(crate) fn message_is_atomic(_id: MessageId) -> bool {
    false
}

/// The type of a built-in kind, lists (`PodList`) and option types (`DeleteOptions`) included.
pub fn kind(_gvk: &Gvk) -> Option<Type> {
    None
}

/// A message by its OpenAPI name, `io.k8s.api.core.v1.PodSpec`.
pub fn named(_name: &str) -> Option<Type> {
    None
}
