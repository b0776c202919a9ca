//! The shape of a kind: everything the kind-blind API machinery needs to know about one.

use crate::access::{Authorizer, Tokens};
use meta::{Fault, Identity, Problem, Time, Value};
use store::{Object, View};

/// One kind. A built-in kind is a static row; a custom resource derives its own at run time.
pub struct KindRow {
    /// `""` for the core group.
    pub group: &'static str,
    /// Served versions, the preferred one first. Objects are stored in the first.
    pub versions: &'static [VersionRow],
    pub kind: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub short: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub scope: Scope,
    pub verbs: &'static [&'static str],
    pub subresources: &'static [SubRow],
    /// Selectable fields besides `metadata.name` and `metadata.namespace`.
    pub fields: &'static [FieldRow],
    pub table: TableRow,
    pub hooks: Hooks,
    pub traits: Traits,
    /// Where the objects are filed when not under the row's own group and plural (events).
    pub filed_as: Option<(&'static str, &'static str)>,
    /// A valid object in YAML for the generic row tests; `""` for kinds that are not stored.
    pub sample: &'static str,
}

pub struct VersionRow {
    pub name: &'static str,
    /// The schema's message, `io.k8s.api.apps.v1.Deployment`.
    pub message: &'static str,
    /// Between this version and the stored one; `None` when only `apiVersion` differs.
    pub convert: Option<Conversion>,
}

#[derive(Clone, Copy)]
pub struct Conversion {
    pub from_stored: fn(Value) -> Value,
    pub to_stored: fn(Value) -> Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Namespaced,
    Cluster,
}

/// What may be done to every stored kind.
pub const ALL: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Kinds that are questions, not stored.
pub const CREATE: &[&str] = &["create"];

/// One subresource.
pub struct SubRow {
    pub name: &'static str,
    pub verbs: &'static [&'static str],
    /// `(group, version, kind, message)` when it is not the parent's own kind.
    pub kind: Option<(&'static str, &'static str, &'static str, &'static str)>,
    pub action: SubAction,
}

pub enum SubAction {
    /// A part of the object with its own writers: `keep(new, old)` restores from `old` what this
    /// subresource may not write.
    Part { keep: fn(&mut Value, &Value), check: Option<Check> },
    /// `autoscaling/v1 Scale`; dotted paths, `selector` may be `""`.
    Scale { replicas: &'static str, status: &'static str, selector: Selector },
    /// `create` with a body of another kind.
    Act(fn(&Act<'_>) -> Result<Effect, Problem>),
    /// Carried out by the face.
    Connect,
}

/// How a kind spells its pod selector, for `Scale.status.selector`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// `spec.selector` is a LabelSelector.
    Labels,
    /// `spec.selector` is a map.
    Map,
}

/// The input of an acting subresource.
pub struct Act<'a> {
    pub parent: &'a Object,
    /// Decoded and defaulted.
    pub body: &'a Value,
    pub now: Time,
    pub identity: &'a Identity,
    pub view: &'a View,
    pub tokens: &'a dyn Tokens,
}

pub enum Effect {
    /// Write this version of the parent, answer `201` with the given body.
    Write { parent: Value, answer: Value },
    /// Write this version of the parent, then delete it with the given `DeleteOptions`.
    Delete { options: Value, parent: Option<Value>, also: Vec<Value> },
    /// Write nothing.
    Answer(Value),
}

/// A selectable field.
pub struct FieldRow {
    /// As clients spell it, `spec.nodeName`.
    pub name: &'static str,
    /// Its value; the empty string when unset.
    pub get: fn(&Value) -> String,
}

/// How `kubectl get` prints a kind (`Accept: ...;as=Table`).
#[derive(Clone, Copy)]
pub struct TableRow {
    pub columns: &'static [Column],
    /// One cell per column.
    pub cells: fn(&Value, Time) -> Vec<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    /// `string`, `integer`, `boolean`, `date`
    pub kind: &'static str,
    /// `name` on the name column.
    pub format: &'static str,
    pub description: &'static str,
    /// Columns above 0 are shown with `-o wide` only.
    pub priority: u8,
}

pub type Check = fn(&Value, Option<&Value>, &mut Vec<Fault>);

/// Behaviour of a kind; every hook is pure.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// Defaults that the schema does not carry. Idempotent.
    pub default: Option<fn(&mut Value)>,
    /// Before create (`old` is `None`) and update: resets what clients may not set.
    pub prepare: Option<fn(&mut Value, Option<&Value>)>,
    /// Validation of create and update; pushes every fault.
    pub check: Option<Check>,
    /// Which parts besides `spec` bump `metadata.generation`.
    pub generation: Generation,
    /// Default propagation policy of a delete, when it is not background.
    pub orphans: Option<fn(&Value) -> bool>,
    /// Seconds of grace for a delete; `None` for kinds that are deleted at once.
    pub grace: Option<fn(&Value, Option<i64>) -> i64>,
    /// Answers a review instead of storing it.
    pub review: Option<fn(&mut Value, &Review<'_>) -> Result<(), Problem>>,
    /// `metadata.finalizers`-like gate outside metadata: the object stays until this is empty.
    pub held: Option<fn(&Value) -> bool>,
    /// What else goes when an object goes (addresses it held).
    pub release: Option<fn(&Value, &View) -> Vec<crate::Also>>,
    /// What of other kinds goes with an object that is deleted or marked for it (a definition's instances): those that
    /// can go at once go, the others are marked. And whether the object has to wait for any.
    pub dependents: Option<fn(&Value, &View, Time) -> (Vec<crate::Also>, bool)>,
    /// When a delete only marks the object: what else changes (a namespace's phase).
    pub terminate: Option<fn(&mut Value)>,
}

/// Small differences between upstream's strategies.
#[derive(Clone, Copy)]
pub struct Traits {
    /// A completed delete answers the object instead of a `Status` (`ReturnDeletedObject`).
    pub returns_deleted: bool,
    /// A PUT to a name that does not exist creates it (`AllowCreateOnUpdate`).
    pub put_creates: bool,
    /// A PUT without `resourceVersion` overwrites (`AllowUnconditionalUpdate`).
    pub unconditional: bool,
    /// A create keeps the `status` it comes with (nodes).
    pub creates_status: bool,
    /// What is wrong with a name; empty when nothing is.
    pub name: fn(&str) -> Vec<String>,
}

impl Traits {
    pub const USUAL: Self = Self {
        returns_deleted: false,
        put_creates: false,
        unconditional: true,
        creates_status: false,
        name: meta::names::dns_subdomain,
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The kind has none.
    Never,
    /// Everything but `metadata` and `status`.
    Spec,
    /// Annotations count as well.
    SpecAndAnnotations,
}

/// What answers a review.
pub struct Review<'a> {
    pub identity: &'a Identity,
    pub now: Time,
    pub view: &'a View,
    pub authorizer: &'a dyn Authorizer,
    pub tokens: &'a dyn Tokens,
    /// Of the request; `""` for cluster-scoped reviews.
    pub namespace: &'a str,
}

impl Hooks {
    pub const NONE: Self = Self {
        default: None,
        prepare: None,
        check: None,
        generation: Generation::Never,
        orphans: None,
        grace: None,
        review: None,
        held: None,
        release: None,
        dependents: None,
        terminate: None,
    };
    /// A kind with a `spec` whose changes count.
    pub const SPEC: Self = Self { generation: Generation::Spec, ..Self::NONE };
}
