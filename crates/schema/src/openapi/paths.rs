//! Paths and operations.

use super::definitions::{Definitions, object};
use super::{Dialect, ServedResource, custom};
use meta::{Gvk, Map, Value};
use serde_json::json;

/// A verb of discovery at one of the places it is served.
struct Verb {
    name: &'static str,
    method: &'static str,
    /// `x-kubernetes-action`
    action: &'static str,
    /// How the operation id starts.
    id: &'static str,
    place: Place,
    body: Body,
    query: &'static [Query],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Collection,
    Item,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    Object,
    Patch,
    DeleteOptions,
}

/// Name, type and description of a query parameter.
type Query = (&'static str, &'static str, &'static str);

const DRY_RUN: Query =
    ("dryRun", "string", "When present, indicates that modifications should not be persisted.");
const MANAGER: Query =
    ("fieldManager", "string", "The name of the actor or entity that is making these changes.");
const STRICT: Query = (
    "fieldValidation",
    "string",
    "How unknown or duplicate fields are handled: Ignore, Warn or Strict.",
);
const FORCE: Query =
    ("force", "boolean", "Takes fields from conflicting managers; for apply patches only.");
const LABELS: Query = ("labelSelector", "string", "Restricts the objects by their labels.");
const FIELDS: Query = ("fieldSelector", "string", "Restricts the objects by their fields.");
const LIMIT: Query = ("limit", "integer", "The most objects to return at once.");
const CONTINUE: Query = ("continue", "string", "Where to go on with a list that was limited.");
const VERSION: Query = ("resourceVersion", "string", "The version to read at.");
const MATCH: Query = ("resourceVersionMatch", "string", "How resourceVersion is applied.");
const INITIAL: Query =
    ("sendInitialEvents", "boolean", "Starts a watch with the objects there are.");
const BOOKMARKS: Query = ("allowWatchBookmarks", "boolean", "Asks for BOOKMARK events.");
const TIMEOUT: Query = ("timeoutSeconds", "integer", "Limits the duration of the call.");
const WATCH: Query = ("watch", "boolean", "Streams changes instead of listing.");
const GRACE: Query = ("gracePeriodSeconds", "integer", "The seconds before the object is deleted.");
const PROPAGATION: Query =
    ("propagationPolicy", "string", "Whether and how dependents are deleted.");
const ORPHAN: Query = ("orphanDependents", "boolean", "Deprecated: use propagationPolicy.");

const VERBS: &[Verb] = &[
    Verb {
        name: "list",
        method: "get",
        action: "list",
        id: "list",
        place: Place::Collection,
        body: Body::None,
        query: &[
            BOOKMARKS, CONTINUE, FIELDS, LABELS, LIMIT, VERSION, MATCH, INITIAL, TIMEOUT, WATCH,
        ],
    },
    Verb {
        name: "create",
        method: "post",
        action: "post",
        id: "create",
        place: Place::Collection,
        body: Body::Object,
        query: &[DRY_RUN, MANAGER, STRICT],
    },
    Verb {
        name: "deletecollection",
        method: "delete",
        action: "deletecollection",
        id: "deleteCollection",
        place: Place::Collection,
        body: Body::DeleteOptions,
        query: &[
            CONTINUE,
            DRY_RUN,
            FIELDS,
            GRACE,
            LABELS,
            LIMIT,
            ORPHAN,
            PROPAGATION,
            VERSION,
            MATCH,
            INITIAL,
            TIMEOUT,
        ],
    },
    Verb {
        name: "get",
        method: "get",
        action: "get",
        id: "read",
        place: Place::Item,
        body: Body::None,
        query: &[],
    },
    Verb {
        name: "update",
        method: "put",
        action: "put",
        id: "replace",
        place: Place::Item,
        body: Body::Object,
        query: &[DRY_RUN, MANAGER, STRICT],
    },
    Verb {
        name: "patch",
        method: "patch",
        action: "patch",
        id: "patch",
        place: Place::Item,
        body: Body::Patch,
        query: &[DRY_RUN, MANAGER, STRICT, FORCE],
    },
    Verb {
        name: "delete",
        method: "delete",
        action: "delete",
        id: "delete",
        place: Place::Item,
        body: Body::DeleteOptions,
        query: &[DRY_RUN, GRACE, ORPHAN, PROPAGATION],
    },
];

/// Subresources create by POST on the item.
const CREATE_BELOW: Verb = Verb {
    name: "create",
    method: "post",
    action: "post",
    id: "create",
    place: Place::Item,
    body: Body::Object,
    query: &[DRY_RUN, MANAGER, STRICT],
};

/// What an operation is about.
struct Subject<'a> {
    gvk: &'a Gvk,
    /// References to the object's and, for collections, the list's definition.
    object: String,
    list: String,
    /// `AppsV1NamespacedDeployment`
    id: String,
    tag: String,
    /// Custom resources come in JSON and YAML alone, and without strategic merge patch: kubectl looks here.
    custom: bool,
}

const TYPES: &[&str] =
    &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

impl Subject<'_> {
    fn types(&self) -> &'static [&'static str] {
        if self.custom { &TYPES[..2] } else { TYPES }
    }
}

pub(crate) fn add(
    paths: &mut Map,
    definitions: &mut Definitions,
    resource: &ServedResource,
    dialect: Dialect,
) {
    let gvk = &resource.gvk;
    let Some((object, list)) = references(definitions, resource) else { return };
    let root = match &*gvk.group {
        "" => format!("/api/{}", gvk.version),
        group => format!("/apis/{group}/{}", gvk.version),
    };
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{root}{scope}/{}", resource.plural);
    let item = format!("{collection}/{{name}}");
    let custom = resource.custom.is_some();
    let subject = Subject { gvk, object, list, id: operation_id(resource), tag: tag(gvk), custom };
    for (place, path) in [(Place::Collection, &collection), (Place::Item, &item)] {
        let verbs =
            VERBS.iter().filter(|v| v.place == place && resource.verbs.iter().any(|n| n == v.name));
        let entry = path_item(definitions, verbs, &subject, path, dialect);
        insert(paths, path, entry);
    }
    if resource.namespaced && resource.verbs.iter().any(|v| v == "list") {
        let everywhere = format!("{root}/{}", resource.plural);
        let id = subject.id.replace("Namespaced", "") + "ForAllNamespaces";
        let subject = Subject { id, ..subject };
        let entry = path_item(definitions, VERBS.iter().take(1), &subject, &everywhere, dialect);
        insert(paths, &everywhere, entry);
    }
    for sub in &resource.subresources {
        let gvk = &sub.gvk;
        let object = match (definitions.kind(gvk), &resource.custom) {
            (Some(object), _) => object,
            (None, Some(_)) => references(definitions, resource).map(|r| r.0).unwrap_or_default(),
            (None, None) => continue,
        };
        let id = format!("{}{}", operation_id(resource), capital(&sub.name));
        let (tag, custom) = (tag(&resource.gvk), resource.custom.is_some());
        let subject = Subject { gvk, object, list: String::new(), id, tag, custom };
        let path = format!("{item}/{}", sub.name);
        let served = |v: &&Verb| sub.verbs.iter().any(|n| n == v.name);
        let verbs =
            VERBS.iter().filter(|v| v.place == Place::Item).chain([&CREATE_BELOW]).filter(served);
        let entry = path_item(definitions, verbs, &subject, &path, dialect);
        insert(paths, &path, entry);
    }
}

fn insert(paths: &mut Map, path: &str, entry: Map) {
    if entry.keys().any(|key| key != "parameters") {
        paths.insert(path.to_string(), Value::Object(entry));
    }
}

fn references(
    definitions: &mut Definitions,
    resource: &ServedResource,
) -> Option<(String, String)> {
    if let Some(custom) = &resource.custom {
        return Some(custom::define(definitions, resource, custom));
    }
    let gvk = &resource.gvk;
    let object = definitions.kind(gvk)?;
    let list = Gvk::new(&gvk.group, &gvk.version, &format!("{}List", gvk.kind));
    Some((object, definitions.kind(&list).unwrap_or_default()))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |c| c.to_uppercase().chain(letters).collect())
}

/// `apps` and `rbac.authorization.k8s.io` give `Apps` and `RbacAuthorization`, the core group `Core`.
fn group_name(group: &str) -> String {
    let group = group.strip_suffix(".k8s.io").unwrap_or(group);
    if group.is_empty() { "Core".into() } else { group.split('.').map(capital).collect() }
}

fn operation_id(resource: &ServedResource) -> String {
    let gvk = &resource.gvk;
    let scope = if resource.namespaced { "Namespaced" } else { "" };
    format!("{}{}{scope}{}", group_name(&gvk.group), capital(&gvk.version), gvk.kind)
}

fn tag(gvk: &Gvk) -> String {
    let group = group_name(&gvk.group);
    let mut letters = group.chars();
    let lower: String =
        letters.next().map_or_else(String::new, |c| c.to_lowercase().chain(letters).collect());
    format!("{lower}_{}", gvk.version)
}

fn path_item<'v>(
    definitions: &mut Definitions,
    verbs: impl Iterator<Item = &'v Verb>,
    subject: &Subject<'_>,
    path: &str,
    dialect: Dialect,
) -> Map {
    let mut out = Map::new();
    for verb in verbs {
        let operation = operation(definitions, verb, subject, dialect);
        out.insert(verb.method.into(), operation);
    }
    let mut parameters = Vec::new();
    for name in ["name", "namespace"] {
        if path.contains(&format!("{{{name}}}")) {
            parameters.push(parameter("path", name, "string", path_text(name, subject), dialect));
        }
    }
    parameters.push(parameter(
        "query",
        "pretty",
        "string",
        "Pretty-prints the output.".into(),
        dialect,
    ));
    out.insert("parameters".into(), Value::Array(parameters));
    out
}

fn path_text(name: &str, subject: &Subject<'_>) -> String {
    match name {
        "name" => format!("name of the {}", subject.gvk.kind),
        _ => "object name and auth scope, such as for teams and projects".into(),
    }
}

fn parameter(place: &str, name: &str, kind: &str, text: String, dialect: Dialect) -> Value {
    let mut out =
        object([("name", name.into()), ("in", place.into()), ("description", text.into())]);
    if place == "path" {
        out.insert("required".into(), true.into());
    }
    match dialect {
        Dialect::V2 => {
            out.insert("type".into(), kind.into());
            out.insert("uniqueItems".into(), true.into());
        }
        Dialect::V3 => {
            out.insert("schema".into(), json!({"type": kind, "uniqueItems": true}));
        }
    }
    Value::Object(out)
}

fn operation(
    definitions: &mut Definitions,
    verb: &Verb,
    subject: &Subject<'_>,
    dialect: Dialect,
) -> Value {
    let gvk = subject.gvk;
    let mut out = object([
        ("operationId", format!("{}{}", verb.id, subject.id).into()),
        ("tags", json!([subject.tag])),
        ("description", format!("{} the specified {}", verb.id, gvk.kind).into()),
        ("x-kubernetes-action", verb.action.into()),
        (
            "x-kubernetes-group-version-kind",
            json!({"group": &*gvk.group, "version": &*gvk.version, "kind": &*gvk.kind}),
        ),
    ]);
    let query = verb.query.iter();
    let mut parameters: Vec<Value> = query
        .map(|(name, kind, text)| parameter("query", name, kind, (*text).into(), dialect))
        .collect();
    let body = body(definitions, verb.body, subject);
    let response = match (verb.action, verb.body) {
        ("list", _) => subject.list.clone(),
        (_, Body::DeleteOptions) => {
            definitions.named("io.k8s.apimachinery.pkg.apis.meta.v1.Status")
        }
        _ => subject.object.clone(),
    };
    match dialect {
        Dialect::V2 => {
            if let Some((schema, types)) = body {
                let required = verb.body != Body::DeleteOptions;
                let mut body =
                    object([("name", "body".into()), ("in", "body".into()), ("schema", schema)]);
                if required {
                    body.insert("required".into(), true.into());
                }
                parameters.push(Value::Object(body));
                out.insert("consumes".into(), json!(types));
            }
            out.insert("produces".into(), json!(subject.types()));
            out.insert("schemes".into(), json!(["https"]));
        }
        Dialect::V3 => {
            if let Some((schema, types)) = body {
                out.insert("requestBody".into(), json!({"content": content(&schema, &types)}));
            }
        }
    }
    if !parameters.is_empty() {
        out.insert("parameters".into(), Value::Array(parameters));
    }
    out.insert("responses".into(), responses(verb, &response, subject.types(), dialect));
    Value::Object(out)
}

fn body(
    definitions: &mut Definitions,
    body: Body,
    subject: &Subject<'_>,
) -> Option<(Value, Vec<&'static str>)> {
    const PATCHES: &[&str] = &[
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ];
    match body {
        Body::None => None,
        Body::Object => Some((json!({"$ref": subject.object}), vec!["*/*"])),
        Body::DeleteOptions => {
            let options = definitions.named("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
            Some((json!({"$ref": options}), vec!["*/*"]))
        }
        Body::Patch => {
            let name = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
            let text = definitions.texts.of(name, "").to_string();
            definitions.insert(name.into(), json!({"type": "object", "description": text}));
            let strategic = |t: &&str| !subject.custom || !t.contains("strategic");
            let types = PATCHES.iter().copied().filter(strategic).collect();
            Some((json!({"$ref": definitions.dialect.reference(name)}), types))
        }
    }
}

fn content(schema: &Value, types: &[&str]) -> Value {
    types.iter().map(|t| ((*t).to_string(), json!({"schema": schema}))).collect::<Map>().into()
}

fn responses(verb: &Verb, reference: &str, types: &[&str], dialect: Dialect) -> Value {
    let schema = if reference.is_empty() { json!({}) } else { json!({"$ref": reference}) };
    let codes: &[(&str, &str)] = match verb.method {
        "post" => &[("200", "OK"), ("201", "Created"), ("202", "Accepted")],
        "put" | "patch" => &[("200", "OK"), ("201", "Created")],
        "delete" if verb.place == Place::Item => &[("200", "OK"), ("202", "Accepted")],
        _ => &[("200", "OK")],
    };
    let mut out = Map::new();
    for (code, text) in codes {
        let response = match dialect {
            Dialect::V2 => json!({"description": text, "schema": schema}),
            Dialect::V3 => json!({"description": text, "content": content(&schema, types)}),
        };
        out.insert((*code).into(), response);
    }
    out.insert("401".into(), json!({"description": "Unauthorized"}));
    Value::Object(out)
}
