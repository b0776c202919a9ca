//! A place in a schema, as merging sees it: what is a leaf, what merges by key, what by name.

use crate::fieldset::Step;
use meta::Value;
use schema::{ListKind, Shape, Str, Type};

/// A place in a schema. `None` is where the schema says nothing: maps merge by key, lists are leaves
/// (structured-merge-diff's deduced type).
#[derive(Clone, Copy)]
pub struct At<'s>(pub Option<&'s Type>);

/// How the value at a place merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form<'s> {
    /// Scalars, and whatever is replaced as a whole.
    Leaf,
    Map,
    Set,
    Keyed(&'s [Str]),
}

/// How the members of a place are owned, by its schema alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    /// A list or map that is owned as a whole.
    Atomic,
    /// A struct, map, set or keyed list: its members have owners of their own.
    Granular,
    /// A scalar, or a place the schema says nothing about.
    Unsaid,
}

/// How strategic merge patch treats a field.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Patching<'s> {
    pub merges_list: bool,
    pub replaces_map: bool,
    pub key: Option<&'s str>,
}

impl<'s> At<'s> {
    /// By schema where there is one, else by the value itself; null is a leaf wherever it stands.
    pub(crate) fn form(self, value: &Value) -> Form<'s> {
        match (self.0, value) {
            (Some(ty), _) if ty.is_atomic() && !matches!(ty.shape, Shape::Any) => Form::Leaf,
            (_, Value::Object(_)) => Form::Map,
            (Some(ty), Value::Array(_)) => match ty.list_kind() {
                Some(ListKind::Set) => Form::Set,
                Some(ListKind::Map(keys)) => Form::Keyed(keys),
                _ => Form::Leaf,
            },
            _ => Form::Leaf,
        }
    }

    pub(crate) fn relation(self) -> Relation {
        let Some(ty) = self.0 else { return Relation::Unsaid };
        match &ty.shape {
            Shape::Scalar(_) | Shape::Any => Relation::Unsaid,
            _ if ty.is_atomic() => Relation::Atomic,
            Shape::List(_) => match ty.list_kind() {
                Some(ListKind::Set | ListKind::Map(_)) => Relation::Granular,
                _ => Relation::Atomic,
            },
            _ => Relation::Granular,
        }
    }

    /// The form two values share; two empty ones are leaves, which keeps null and empty apart.
    pub(crate) fn form_of_either(self, a: Option<&Value>, b: Option<&Value>) -> Form<'s> {
        if is_empty(a) && is_empty(b) {
            return Form::Leaf;
        }
        match (a.filter(|v| !v.is_null()), b.filter(|v| !v.is_null())) {
            (Some(a), Some(b)) => {
                let form = self.form(b);
                if form == self.form(a) { form } else { Form::Leaf }
            }
            (Some(one), None) | (None, Some(one)) => self.form(one),
            (None, None) => Form::Leaf,
        }
    }

    /// The place below a field or map key.
    pub(crate) fn field(self, name: &str) -> At<'s> {
        At(self.0.and_then(|ty| ty.child(name)))
    }

    /// Whether `name` is a field of a struct here, not a key of a map.
    pub(crate) fn declares(self, name: &str) -> bool {
        self.0.is_some_and(|ty| ty.field(name).is_some())
    }

    pub(crate) fn item(self) -> At<'s> {
        At(self.0.and_then(Type::item))
    }

    /// The path element of a list item here.
    ///
    /// # Errors
    /// When the item has none of the keys, or the place is no keyed list or set.
    pub(crate) fn step(self, item: &Value) -> Result<Step, String> {
        match self.0.and_then(Type::list_kind) {
            Some(ListKind::Set) => Ok(Step::Item(item.clone())),
            Some(ListKind::Map(keys)) => self.key_of(item, keys),
            _ => Err("not a list whose items have identities".into()),
        }
    }

    /// A key that is absent has its default; without one it is left out, but not all may be.
    fn key_of(self, item: &Value, keys: &[Str]) -> Result<Step, String> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            let default = || self.item().0?.field(key)?.default.as_ref();
            match item.get(&**key).filter(|v| !v.is_null()).or_else(default) {
                Some(value) => found.push((key.to_string(), value.clone())),
                None if keys.len() == 1 => {
                    return Err(format!(
                        "associative list with keys has an element that omits key field {key:?} (and doesn't have default value)"
                    ));
                }
                None => {}
            }
        }
        if found.is_empty() {
            return Err(
                "associative list with keys has an element that omits all key fields".into()
            );
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Step::Key(found))
    }

    pub(crate) fn patching(self, name: &str) -> Patching<'s> {
        let Some(field) = self.0.and_then(|ty| ty.field(name)) else { return Patching::default() };
        Patching {
            merges_list: field.patch_merge,
            replaces_map: false,
            key: (!field.merge_key.is_empty()).then_some(&*field.merge_key),
        }
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(members)) => members.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => false,
    }
}
