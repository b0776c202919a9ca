//! The graph every reader of schemas walks: types, fields and how lists and maps merge.
//!
//! One shape serves the built-in kinds (borrowed from the table of facts, parsed per message on first
//! use) and CustomResourceDefinitions (compiled at run time). Built-in messages refer to each other by
//! [`MessageId`], so recursive types cost nothing.

use crate::facts::{self, MessageId};
use crate::rules::Rules;
use meta::Value;
use std::borrow::Cow;

/// Text of the table (borrowed) or of a CRD (owned).
pub type Str = Cow<'static, str>;

/// What a JSON value may be and how it merges.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    pub shape: Shape,
    /// The object or map is one value to apply (`+structType=atomic`, `+mapType=atomic`).
    pub atomic: bool,
    /// CRDs: `nullable: true`. Go types accept null for every field whatever this says.
    pub nullable: bool,
    /// Checks and extensions of an OpenAPI schema; absent for built-in types.
    pub rules: Option<Box<Rules>>,
}

/// The form of a JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Scalar(Scalar),
    /// A built-in message of the table.
    Message(MessageId),
    /// An object with named properties, of a CRD.
    Object(Box<Struct>),
    List(Box<List>),
    /// An object with arbitrary keys and values of one type.
    Map(Box<Type>),
    /// A CRD node without a type. Whether properties below are kept is [`Type::preserves_unknown`].
    Any,
}

/// Leaves, including the Go types with their own JSON form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    String,
    Bool,
    Int32,
    Int64,
    /// `number` of a CRD, `float64` of a Go type.
    Double,
    /// `[]byte`: base64 in JSON.
    Bytes,
    Time,
    MicroTime,
    /// `metav1.Duration`: `1m30s` in JSON.
    Duration,
    Quantity,
    IntOrString,
    /// `runtime.RawExtension` and apiextensions' `JSON`: any value, kept as it is.
    Raw,
    /// `metav1.FieldsV1`: an object, kept as it is.
    FieldsV1,
    /// apiextensions' `JSONSchemaPropsOrArray`: a schema or a list of them.
    SchemaOrArray,
    /// apiextensions' `JSONSchemaPropsOrBool`.
    SchemaOrBool,
    /// apiextensions' `JSONSchemaPropsOrStringArray`.
    SchemaOrStrings,
}

/// A list with the type of its items and how it merges.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    pub item: Type,
    pub kind: ListKind,
    /// On the protobuf wire the list is a message with one repeated field 1 (`ExtraValue`, `Verbs`).
    pub boxed: bool,
}

/// `x-kubernetes-list-type`; lists without one are atomic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListKind {
    Atomic,
    Set,
    /// Items are told apart by these keys.
    Map(Box<[Str]>),
}

/// An object with named properties: a Go struct or a CRD node with `properties`.
#[derive(Debug, Clone, PartialEq)]
pub struct Struct {
    /// `io.k8s.api.core.v1.PodSpec`; empty for CRD nodes.
    pub name: Str,
    /// The Go type's own name, as decode errors print it: `PodSpec`.
    pub go_name: Str,
    /// In the order of the protobuf message; embedded Go structs are already flattened.
    pub fields: Vec<Field>,
    /// Every field's name in brief, sorted: looking one up touches few other bytes.
    pub(crate) by_name: Vec<NameKey>,
    /// Indices of the fields Go writes even when they are absent.
    pub(crate) always: Vec<u16>,
    /// Protobuf numbers in ascending order with the index of the field, `u16::MAX` for an [`Inline`].
    pub(crate) wire_order: Vec<(u32, u16)>,
    /// Go's embedded structs: nested messages on the protobuf wire, flat in JSON.
    pub inlines: Vec<Inline>,
    /// Carries `apiVersion` and `kind` (fields number 0: they are not in the protobuf message).
    pub is_kind: bool,
    /// Unknown properties are kept (`x-kubernetes-preserve-unknown-fields`).
    pub preserve_unknown: bool,
    /// `x-kubernetes-embedded-resource`.
    pub embedded: bool,
}

/// An embedded Go struct: protobuf field `number` holds `message`, JSON shows its fields in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inline {
    pub number: u32,
    pub message: MessageId,
}

/// One property.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: Str,
    /// Protobuf field number; 0 when the field is not on the protobuf wire.
    pub number: u32,
    /// The number of the [`Inline`] this field came through, 0 for the struct's own.
    pub via: u32,
    pub ty: Type,
    /// OpenAPI's `required`.
    pub required: bool,
    pub presence: Presence,
    /// `+patchStrategy=merge`
    pub patch_merge: bool,
    /// `+patchStrategy=retainKeys`
    pub retain_keys: bool,
    /// `+patchMergeKey`; empty when there is none.
    pub merge_key: Str,
    /// `+default`, or a CRD's `default`.
    pub default: Option<Value>,
    /// Allowed values of a string enum of a built-in type (empty: any). CRDs keep theirs in `ty.rules`.
    pub options: Box<[Str]>,
    /// The Go type as decode errors print it, where it is not the one the shape implies (`v1.Protocol`).
    pub go_type: Str,
}

/// When Go's JSON encoder leaves a field out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// A pointer with `omitempty`: left out when nil only.
    #[default]
    Pointer,
    /// A plain value, list or map with `omitempty`: left out when zero or empty.
    OmitEmpty,
    /// A struct with `omitzero`: left out when all of it is zero.
    OmitZero,
    /// Always written, zero value (`""`, `0`, `{}`, `null` for nil lists, maps and pointers) included.
    Always,
    /// A pointer, list or map without `omitempty`: written as `null` when nil.
    AlwaysNull,
}

/// The length and the first eight bytes of a name, and the index of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NameKey {
    length: u16,
    head: u64,
    at: u16,
}

impl NameKey {
    fn of(name: &str, at: u16) -> Self {
        let mut head = [0; 8];
        let shown = name.len().min(8);
        head[..shown].copy_from_slice(&name.as_bytes()[..shown]);
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        Self { length, head: u64::from_be_bytes(head), at }
    }
}

impl Type {
    pub fn new(shape: Shape) -> Self {
        Self { shape, atomic: false, nullable: false, rules: None }
    }

    /// The struct behind a message reference or a CRD object.
    pub fn structure(&self) -> Option<&Struct> {
        match &self.shape {
            Shape::Message(id) => Some(facts::message(*id)),
            Shape::Object(object) => Some(object),
            _ => None,
        }
    }

    /// A named property; for maps use [`Type::item`].
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.structure()?.field(name)
    }

    /// The type of a list's items or a map's values.
    pub fn item(&self) -> Option<&Type> {
        match &self.shape {
            Shape::List(list) => Some(&list.item),
            Shape::Map(value) => Some(value),
            _ => None,
        }
    }

    /// The type below one key of an object, be it a struct or a map.
    pub fn child(&self, key: &str) -> Option<&Type> {
        match &self.shape {
            Shape::Map(value) => Some(value),
            _ => self.field(key).map(|field| &field.ty),
        }
    }

    /// How a list merges; `None` when this is not a list.
    pub fn list_kind(&self) -> Option<&ListKind> {
        match &self.shape {
            Shape::List(list) => Some(&list.kind),
            _ => None,
        }
    }

    /// The keys of a list of type map; empty for every other type.
    pub fn map_keys(&self) -> &[Str] {
        match self.list_kind() {
            Some(ListKind::Map(keys)) => keys,
            _ => &[],
        }
    }

    /// Replaced as a whole by server-side apply: scalars, atomic lists, maps and structs.
    pub fn is_atomic(&self) -> bool {
        match &self.shape {
            Shape::Scalar(_) | Shape::Any => true,
            Shape::List(list) => list.kind == ListKind::Atomic,
            Shape::Message(id) => self.atomic || facts::message_is_atomic(*id),
            Shape::Object(_) | Shape::Map(_) => self.atomic,
        }
    }

    pub(crate) fn list(item: Type, kind: ListKind) -> Self {
        Self::new(Shape::List(Box::new(List { item, kind, boxed: false })))
    }

    /// Whether unknown properties below this node are kept.
    pub fn preserves_unknown(&self) -> bool {
        match &self.shape {
            Shape::Object(object) => object.preserve_unknown,
            Shape::Scalar(Scalar::Raw | Scalar::FieldsV1) => true,
            _ => self.rules.as_ref().is_some_and(|rules| rules.preserve_unknown),
        }
    }
}

impl Struct {
    /// Binary search: a lookup in the largest struct takes six comparisons.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.position(name).map(|at| &self.fields[at])
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        let wanted = NameKey::of(name, 0);
        let order = |key: &NameKey| (key.length, key.head) < (wanted.length, wanted.head);
        let first = self.by_name.partition_point(order);
        let alike = self.by_name[first..].iter();
        let mut alike = alike.take_while(|k| k.length == wanted.length && k.head == wanted.head);
        // Names of up to eight bytes are told apart by their head alone.
        let found = alike.find(|k| name.len() <= 8 || self.fields[k.at as usize].name == name);
        found.map(|key| key.at as usize)
    }

    /// A Go struct of the table, not a node of a CRD.
    pub fn is_builtin(&self) -> bool {
        !self.name.is_empty()
    }

    /// Must be called after `fields` were filled.
    pub(crate) fn index(&mut self) {
        let names = self.fields.iter().enumerate();
        self.by_name = names.map(|(i, f)| NameKey::of(&f.name, i as u16)).collect();
        self.by_name.sort_unstable();
        let always = |f: &Field| matches!(f.presence, Presence::Always | Presence::AlwaysNull);
        let listed = self.fields.iter().enumerate().filter(|(_, field)| always(field));
        let own = self.fields.iter().enumerate().filter(|(_, f)| f.via == 0 && f.number > 0);
        self.wire_order = own.map(|(i, f)| (f.number, i as u16)).collect();
        self.wire_order.extend(self.inlines.iter().map(|inline| (inline.number, u16::MAX)));
        self.wire_order.sort_unstable();
        self.always = listed.map(|(i, _)| i as u16).collect();
    }
}
