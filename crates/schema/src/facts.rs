//! The table of facts about built-in messages, `facts.txt`, written by `cargo xtask codegen`.
//!
//! One line per package (`P openapi-prefix group version`), message (`M Name flags`) and field
//! (`name number type presence attributes`). The first use reads the packages and message names; each
//! message is parsed when it is first asked for and lives as long as the process.

use crate::graph::{Field, Inline, List, ListKind, Presence, Scalar, Shape, Str, Struct, Type};
use meta::Gvk;
use std::borrow::Cow;
use std::sync::OnceLock;

static TEXT: &str = include_str!("facts.txt");

/// Index of a message in the table of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub(crate) u16);

#[derive(Debug)]
struct Package {
    /// `io.k8s.api.apps.v1`
    prefix: &'static str,
    group: &'static str,
    version: &'static str,
    /// Its messages are `entries[first..last]`, sorted by name.
    first: usize,
    last: usize,
}

#[derive(Debug)]
struct Entry {
    name: &'static str,
    flags: &'static str,
    package: usize,
    /// The field lines.
    body: &'static str,
}

#[derive(Debug)]
struct Table {
    packages: Vec<Package>,
    entries: Vec<Entry>,
    structs: Box<[OnceLock<Struct>]>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| read(TEXT))
}

fn read(text: &'static str) -> Table {
    let mut packages: Vec<Package> = Vec::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut rest = text;
    let mut body: Option<&'static str> = None;
    while !rest.is_empty() {
        let here = rest;
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        let head = line.split_once(' ').filter(|(tag, _)| matches!(*tag, "P" | "M"));
        let Some((tag, words)) = head else { continue };
        end_body(&mut entries, body.take(), here);
        if tag == "P" {
            packages.push(read_package(words, entries.len()));
            continue;
        }
        let (name, flags) = words.split_once(' ').unwrap_or((words, ""));
        entries.push(Entry { name, flags, package: packages.len().saturating_sub(1), body: "" });
        body = Some(rest);
        if let Some(package) = packages.last_mut() {
            package.last = entries.len();
        }
    }
    end_body(&mut entries, body, "");
    let structs = entries.iter().map(|_| OnceLock::new()).collect();
    Table { packages, entries, structs }
}

fn read_package(words: &'static str, first: usize) -> Package {
    let mut words = words.split(' ');
    let mut next = || words.next().unwrap_or_default();
    Package { prefix: next(), group: next(), version: next(), first, last: first }
}

/// The last message's fields end where the next heading starts.
fn end_body(entries: &mut [Entry], start: Option<&'static str>, next: &str) {
    if let (Some(start), Some(entry)) = (start, entries.last_mut()) {
        entry.body = &start[..start.len() - next.len()];
    }
}

/// The message behind an id.
pub fn message(id: MessageId) -> &'static Struct {
    let table = table();
    table.structs[id.0 as usize].get_or_init(|| table.parse(id.0 as usize))
}

pub(crate) fn message_is_atomic(id: MessageId) -> bool {
    table().entries[id.0 as usize].flags.contains('a')
}

/// The type of a built-in kind, lists (`PodList`) included.
///
/// Kinds of `meta.k8s.io/v1` (`Status`, `DeleteOptions`, `ListOptions`, ...) are known in every group
/// and version, as upstream registers them.
pub fn kind(gvk: &Gvk) -> Option<Type> {
    let table = table();
    let of_group =
        table.packages.iter().find(|p| p.group == &*gvk.group && p.version == &*gvk.version);
    let meta = || table.packages.iter().find(|p| p.prefix == META);
    let found = of_group.and_then(|package| table.find(package, &gvk.kind));
    let id = found.or_else(|| table.find(meta()?, &gvk.kind))?;
    table.entries[id.0 as usize].flags.contains('k').then(|| Type::new(Shape::Message(id)))
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// A message by its OpenAPI name, `io.k8s.api.core.v1.PodSpec`.
pub fn named(name: &str) -> Option<Type> {
    id_of(name).map(|id| Type::new(Shape::Message(id)))
}

pub(crate) fn id_of(name: &str) -> Option<MessageId> {
    let (prefix, short) = name.rsplit_once('.')?;
    let table = table();
    table.find(table.packages.iter().find(|p| p.prefix == prefix)?, short)
}

/// Every message of the table, in its order.
pub fn messages() -> impl Iterator<Item = MessageId> {
    (0..table().entries.len()).map(|i| MessageId(i as u16))
}

/// The group and version a message's package belongs to; none for kinds without a home (`runtime`).
pub fn group_version(id: MessageId) -> (&'static str, &'static str) {
    let table = table();
    let package = &table.packages[table.entries[id.0 as usize].package];
    (package.group, package.version)
}

impl Table {
    fn find(&self, package: &Package, name: &str) -> Option<MessageId> {
        let entries = &self.entries[package.first..package.last];
        let at = entries.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
        Some(MessageId((package.first + at) as u16))
    }

    fn parse(&self, at: usize) -> Struct {
        let entry = &self.entries[at];
        let is_kind = entry.flags.contains('k');
        let mut out = Struct {
            name: format!("{}.{}", self.packages[entry.package].prefix, entry.name).into(),
            go_name: entry.name.into(),
            fields: if is_kind { type_meta() } else { Vec::new() },
            by_name: Vec::new(),
            always: Vec::new(),
            wire_order: Vec::new(),
            inlines: Vec::new(),
            is_kind,
            preserve_unknown: false,
            embedded: false,
        };
        for line in entry.body.lines() {
            match line.strip_prefix("+ ") {
                Some(embedded) => self.embed(&mut out, embedded, entry.package),
                None => out.fields.push(self.field(line, entry.package)),
            }
        }
        out.index();
        out
    }

    /// `2 @VolumeSource`: the fields of the embedded struct, marked with the number they hide behind.
    fn embed(&self, out: &mut Struct, line: &'static str, package: usize) {
        let (number, code) = line.split_once(' ').unwrap_or((line, ""));
        let number = number.parse().unwrap_or_default();
        let Shape::Message(inner) = self.type_of(code, package).shape else { return };
        out.inlines.push(Inline { number, message: inner });
        let fields = message(inner).fields.iter().cloned();
        out.fields.extend(fields.map(|field| Field { via: number, ..field }));
    }

    fn field(&self, line: &'static str, package: usize) -> Field {
        let (line, default) = match line.split_once(" d=") {
            Some((line, default)) => (line, serde_json::from_str(default).ok()),
            None => (line, None),
        };
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap_or_default();
        let mut field = plain_field(next());
        field.number = next().parse().unwrap_or_default();
        field.ty = self.type_of(next(), package);
        field.default = default;
        field.presence = presence(next());
        for word in words {
            attribute(&mut field, word);
        }
        field
    }

    fn type_of(&self, code: &'static str, package: usize) -> Type {
        let (first, rest) = code.split_at(code.len().min(1));
        let shape = match first {
            "[" => return Type::list(self.type_of(rest, package), ListKind::Atomic),
            "<" => {
                let item = self.type_of(rest, package);
                Shape::List(Box::new(List { item, kind: ListKind::Atomic, boxed: true }))
            }
            "{" => Shape::Map(Box::new(self.type_of(rest, package))),
            "@" => {
                let (package, name) = match rest.split_once('.') {
                    Some((number, name)) => (number.parse().unwrap_or(package), name),
                    None => (package, rest),
                };
                let id = self.find(&self.packages[package], name);
                Shape::Message(id.expect("codegen writes references to messages of the table only"))
            }
            _ => Shape::Scalar(scalar(first)),
        };
        Type::new(shape)
    }
}

fn scalar(code: &str) -> Scalar {
    match code {
        "b" => Scalar::Bool,
        "i" => Scalar::Int32,
        "l" => Scalar::Int64,
        "d" => Scalar::Double,
        "y" => Scalar::Bytes,
        "T" => Scalar::Time,
        "M" => Scalar::MicroTime,
        "D" => Scalar::Duration,
        "Q" => Scalar::Quantity,
        "O" => Scalar::IntOrString,
        "R" => Scalar::Raw,
        "F" => Scalar::FieldsV1,
        "1" => Scalar::SchemaOrArray,
        "2" => Scalar::SchemaOrBool,
        "3" => Scalar::SchemaOrStrings,
        _ => Scalar::String,
    }
}

fn presence(code: &str) -> Presence {
    match code {
        "e" => Presence::OmitEmpty,
        "z" => Presence::OmitZero,
        "w" => Presence::Always,
        "n" => Presence::AlwaysNull,
        _ => Presence::Pointer,
    }
}

fn attribute(field: &mut Field, word: &'static str) {
    match word.split_once('=').unwrap_or((word, "")) {
        ("r", _) => field.required = true,
        ("a", _) => field.ty.atomic = true,
        ("pm", _) => field.patch_merge = true,
        ("pr", _) => field.retain_keys = true,
        ("pk", key) => field.merge_key = key.into(),
        ("ls", _) => set_list_kind(&mut field.ty, ListKind::Set),
        ("lm", keys) => {
            let keys: Vec<Str> = keys.split(',').map(Cow::Borrowed).collect();
            set_list_kind(&mut field.ty, ListKind::Map(keys.into()));
        }
        ("g", name) => field.go_type = name.into(),
        ("v", values) => field.options = values.split('|').map(Cow::Borrowed).collect(),
        _ => {}
    }
}

fn set_list_kind(ty: &mut Type, kind: ListKind) {
    if let Shape::List(list) = &mut ty.shape {
        list.kind = kind;
    }
}

fn plain_field(name: &'static str) -> Field {
    Field {
        name: name.into(),
        number: 0,
        via: 0,
        ty: Type::new(Shape::Scalar(Scalar::String)),
        required: false,
        presence: Presence::OmitEmpty,
        patch_merge: false,
        retain_keys: false,
        merge_key: "".into(),
        default: None,
        options: Box::default(),
        go_type: "".into(),
    }
}

/// `metav1.TypeMeta`, embedded in every kind but not in its protobuf message.
fn type_meta() -> Vec<Field> {
    vec![plain_field("kind"), plain_field("apiVersion")]
}
