//! Where the decoder stands, in the spellings of its two kinds of messages.

use crate::graph::Struct;

/// Where the decoder stands; a chain on the call stack, so that walking down allocates nothing.
pub(super) enum Path<'p> {
    Root,
    Field { parent: &'p Path<'p>, owner: &'p Struct, name: &'p str },
    Key { parent: &'p Path<'p>, key: &'p str },
    Index { parent: &'p Path<'p>, at: usize },
}

impl Path<'_> {
    /// False below a CRD's own properties, which are decoded without types.
    pub(super) fn is_typed(&self) -> bool {
        match self {
            Path::Root | Path::Field { .. } => true,
            Path::Key { parent, .. } | Path::Index { parent, .. } => match parent {
                Path::Root => false,
                parent => parent.is_typed(),
            },
        }
    }

    /// `spec.containers[0].name`
    pub(super) fn strict(&self) -> String {
        let (parent, name) = match self {
            Path::Root => return String::new(),
            Path::Field { parent, name, .. } => (parent, name),
            Path::Key { parent, key } => (parent, key),
            Path::Index { parent, at } => return format!("{}[{at}]", parent.strict()),
        };
        let mut out = parent.strict();
        if !out.is_empty() {
            out.push('.');
        }
        out.push_str(name);
        out
    }

    /// The struct of the innermost field, and the names of all fields on the way.
    pub(super) fn fields(&self) -> (Option<&Struct>, String) {
        match self {
            Path::Root => (None, String::new()),
            Path::Key { parent, .. } | Path::Index { parent, .. } => parent.fields(),
            Path::Field { parent, owner, name } => {
                let (_, mut out) = parent.fields();
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(name);
                (Some(owner), out)
            }
        }
    }
}
