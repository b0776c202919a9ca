//! Constructors for rows: a data-only kind is one expression.

use crate::row::{
    ALL, CREATE, Check, Column, Conversion, FieldRow, Generation, Hooks, KindRow, Scope, Selector,
    SubAction, SubRow, TableRow, Traits, VersionRow,
};
use crate::table;
use meta::Value;

/// A served version without conversion.
pub(crate) const fn version(name: &'static str, message: &'static str) -> VersionRow {
    VersionRow { name, message, convert: None }
}

impl VersionRow {
    pub(crate) const fn converted(
        name: &'static str,
        message: &'static str,
        convert: Conversion,
    ) -> Self {
        Self { name, message, convert: Some(convert) }
    }
}

impl KindRow {
    /// A stored, namespaced kind with every verb and upstream's default table.
    pub(crate) const fn namespaced(
        group: &'static str,
        kind: &'static str,
        plural: &'static str,
        singular: &'static str,
        versions: &'static [VersionRow],
    ) -> Self {
        Self {
            group,
            versions,
            kind,
            plural,
            singular,
            short: &[],
            categories: &[],
            scope: Scope::Namespaced,
            verbs: ALL,
            subresources: &[],
            fields: &[],
            table: table::CREATED_AT,
            hooks: Hooks::NONE,
            traits: Traits::USUAL,
            filed_as: None,
            sample: "",
        }
    }

    /// As [`KindRow::namespaced`], cluster-scoped.
    pub(crate) const fn cluster(
        group: &'static str,
        kind: &'static str,
        plural: &'static str,
        singular: &'static str,
        versions: &'static [VersionRow],
    ) -> Self {
        let mut row = Self::namespaced(group, kind, plural, singular, versions);
        row.scope = Scope::Cluster;
        row
    }

    pub(crate) const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short = names;
        self
    }

    pub(crate) const fn categories(mut self, names: &'static [&'static str]) -> Self {
        self.categories = names;
        self
    }

    pub(crate) const fn subresources(mut self, rows: &'static [SubRow]) -> Self {
        self.subresources = rows;
        self
    }

    pub(crate) const fn fields(mut self, rows: &'static [FieldRow]) -> Self {
        self.fields = rows;
        self
    }

    pub(crate) const fn table(
        mut self,
        columns: &'static [Column],
        cells: fn(&Value, meta::Time) -> Vec<Value>,
    ) -> Self {
        self.table = TableRow { columns, cells };
        self
    }

    pub(crate) const fn hooks(mut self, hooks: Hooks) -> Self {
        self.hooks = hooks;
        self
    }

    /// Objects have a `metadata.generation` that counts changes outside `metadata` and `status`.
    pub(crate) const fn counted(mut self) -> Self {
        self.hooks.generation = Generation::Spec;
        self
    }

    pub(crate) const fn defaults(mut self, default: fn(&mut Value)) -> Self {
        self.hooks.default = Some(default);
        self
    }

    pub(crate) const fn prepare(mut self, prepare: fn(&mut Value, Option<&Value>)) -> Self {
        self.hooks.prepare = Some(prepare);
        self
    }

    pub(crate) const fn check(mut self, check: Check) -> Self {
        self.hooks.check = Some(check);
        self
    }

    pub(crate) const fn filed_as(mut self, group: &'static str, plural: &'static str) -> Self {
        self.filed_as = Some((group, plural));
        self
    }

    pub(crate) const fn verbs(mut self, verbs: &'static [&'static str]) -> Self {
        self.verbs = verbs;
        self
    }

    pub(crate) const fn read_only(self) -> Self {
        self.verbs(&["get", "list"])
    }

    /// Deleting leaves the dependents unless the client says otherwise.
    pub(crate) const fn orphaned(mut self) -> Self {
        self.hooks.orphans = Some(|_| true);
        self
    }

    pub(crate) const fn returns_deleted(mut self) -> Self {
        self.traits.returns_deleted = true;
        self
    }

    pub(crate) const fn put_creates(mut self) -> Self {
        self.traits.put_creates = true;
        self
    }

    /// A PUT must carry `resourceVersion`.
    pub(crate) const fn conditional(mut self) -> Self {
        self.traits.unconditional = false;
        self
    }

    pub(crate) const fn creates_status(mut self) -> Self {
        self.traits.creates_status = true;
        self
    }

    pub(crate) const fn named(mut self, name: fn(&str) -> Vec<String>) -> Self {
        self.traits.name = name;
        self
    }

    /// A question: only `create`, answered and not stored.
    pub(crate) const fn question(mut self) -> Self {
        self.verbs = CREATE;
        self.table = TableRow::NONE;
        self
    }

    pub(crate) const fn sample(mut self, yaml: &'static str) -> Self {
        self.sample = yaml;
        self
    }
}

impl TableRow {
    /// The kind has no table: asked for one only, the server answers 406.
    pub const NONE: Self = Self { columns: &[], cells: |_, _| Vec::new() };
}

/// What the `status` subresource may write: `status` and the user's metadata.
pub fn keep_status(new: &mut Value, old: &Value) {
    keep_all_but(&["status", "metadata"], new, old);
}

/// Restores every top-level member of `old` except those named.
pub(crate) fn keep_all_but(writable: &[&str], new: &mut Value, old: &Value) {
    let (Some(new), Some(old)) = (new.as_object_mut(), old.as_object()) else { return };
    new.retain(|key, _| writable.contains(&key.as_str()) || old.contains_key(key));
    for (key, value) in old {
        if !writable.contains(&key.as_str()) {
            new.insert(key.clone(), value.clone());
        }
    }
}

pub(crate) const STATUS: SubRow = SubRow {
    name: "status",
    verbs: &["get", "patch", "update"],
    kind: None,
    action: SubAction::Part { keep: keep_status, check: None },
};

/// `autoscaling/v1 Scale` over `spec.replicas` and `status.replicas`.
pub(crate) const fn scale(selector: Selector) -> SubRow {
    SubRow {
        name: "scale",
        verbs: &["get", "patch", "update"],
        kind: Some(("autoscaling", "v1", "Scale", "io.k8s.api.autoscaling.v1.Scale")),
        action: SubAction::Scale { replicas: "spec.replicas", status: "status.replicas", selector },
    }
}

/// A field selector over a dotted path.
macro_rules! field {
    ($path:literal) => {
        $crate::row::FieldRow { name: $path, get: |v| $crate::table::text(v, $path) }
    };
    ($path:literal, $default:literal) => {
        $crate::row::FieldRow { name: $path, get: |v| $crate::table::text_or(v, $path, $default) }
    };
}
pub(crate) use field;
