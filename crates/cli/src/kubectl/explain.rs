//! `explain`: fields of a kind from the server's OpenAPI v3 (kubectl `pkg/explain/v2`).

use super::kinds::{Kind, Kinds};
use super::{Cluster, cluster, text};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::Value;
use std::fmt::Write as _;

pub async fn explain(call: &Call) -> Result<u8, Failure> {
    let cluster = cluster(call)?;
    let kinds = Kinds::load(&cluster.kube).await?;
    let (kind, fields) = target(call, &kinds, &call.args[0])?;
    let document = document(&cluster, kind).await?;
    let page = Page { schemas: &document["components"]["schemas"] };
    let root = page.root(kind).ok_or_else(|| {
        Failure::plain(format!("error: couldn't find resource for \"{}\"", kind.qualified()))
    })?;
    let mut out = String::new();
    // Writing to a string cannot fail.
    if !kind.group.is_empty() {
        let _ = writeln!(out, "GROUP:      {}", kind.group);
    }
    let _ = writeln!(out, "KIND:       {}\nVERSION:    {}\n", kind.kind, kind.version);
    let (mut schema, mut required) = (root, false);
    for (at, field) in fields.iter().enumerate() {
        required = root_requires(page.resolved(schema), field);
        let next = page.properties(schema).and_then(|properties| properties.get(*field));
        let missing = || {
            Failure::plain(format!("error: field \"{}\" does not exist", fields[..=at].join(".")))
        };
        schema = next.ok_or_else(missing)?;
    }
    if let Some(field) = fields.last() {
        let mark = if required { " -required-" } else { "" };
        let _ = writeln!(out, "FIELD: {field} <{}>{mark}\n\n", page.type_of(schema));
    }
    page.description(schema, &mut out);
    if let Some(properties) = page.properties(schema) {
        let _ = writeln!(out, "FIELDS:");
        match call.has("recursive") {
            true => page.tree(schema, 1, &mut Vec::new(), &mut out),
            false => page.fields(schema, properties, &mut out),
        }
    }
    out::write(out.as_bytes());
    out::line("");
    Ok(0)
}

/// `deployment.spec.template` as a kind and fields.
fn target<'k, 'a>(
    call: &Call,
    kinds: &'k Kinds,
    word: &'a str,
) -> Result<(&'k Kind, Vec<&'a str>), Failure> {
    let mut parts = word.trim_end_matches('.').split('.');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    if let Some(kind) = kinds.find(word) {
        return Ok((kind, Vec::new()));
    }
    let kind = match call.get("api-version") {
        Some(version) => {
            let by_name = kinds.required(first)?.kind.clone();
            let missing =
                || call.bad_value("api-version", version, "the server has no such version");
            kinds.of(version, &by_name).ok_or_else(missing)?
        }
        None => kinds.required(first)?,
    };
    Ok((kind, rest))
}

async fn document(cluster: &Cluster, kind: &Kind) -> Result<Value, Failure> {
    let failed = |e: remote::Error| Failure::kube("ask for the schemas", &e);
    let index = cluster.kube.get("/openapi/v3").await.map_err(failed)?;
    let name = match kind.group.as_str() {
        "" => format!("api/{}", kind.version),
        group => format!("apis/{group}/{}", kind.version),
    };
    let path = index["paths"][name.as_str()]["serverRelativeURL"].as_str();
    let path =
        path.ok_or_else(|| Failure::plain(format!("error: the server has no schemas of {name}")))?;
    cluster.kube.get(path).await.map_err(failed)
}

struct Page<'a> {
    schemas: &'a Value,
}

fn root_requires(schema: &Value, field: &str) -> bool {
    schema["required"].as_array().into_iter().flatten().any(|name| name == field)
}

impl<'a> Page<'a> {
    fn root(&self, kind: &Kind) -> Option<&'a Value> {
        let fits = |gvk: &Value| {
            text(gvk, "/group") == kind.group
                && text(gvk, "/version") == kind.version
                && text(gvk, "/kind") == kind.kind
        };
        self.schemas.as_object()?.values().find(|schema| {
            let gvks = schema["x-kubernetes-group-version-kind"].as_array();
            gvks.is_some_and(|list| list.len() == 1 && list.iter().any(fits))
        })
    }

    /// The schema a reference names: directly, or as the only part of an `allOf`.
    fn referred(&self, schema: &'a Value) -> Option<(&'a str, &'a Value)> {
        let path = schema["$ref"].as_str().or_else(|| schema.pointer("/allOf/0/$ref")?.as_str())?;
        let name = path.rsplit('/').next()?;
        Some((name, self.schemas.get(name)?))
    }

    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let of = schema
            .get("items")
            .or_else(|| schema.get("additionalProperties").filter(|a| a.is_object()));
        let inner = of.unwrap_or(schema);
        self.referred(inner).map_or(inner, |(_, schema)| schema)
    }

    fn properties(&self, schema: &'a Value) -> Option<&'a meta::Map> {
        self.resolved(schema)["properties"].as_object()
    }

    fn type_of(&self, schema: &Value) -> String {
        if let Some(items) = schema.get("items") {
            return format!("[]{}", self.type_of(items));
        }
        if let Some(values) = schema.get("additionalProperties").filter(|a| a.is_object()) {
            return format!("map[string]{}", self.type_of(values));
        }
        let path = schema["$ref"].as_str().or_else(|| schema.pointer("/allOf/0/$ref")?.as_str());
        if let Some(path) = path {
            let name = path.rsplit(['/', '.']).next().unwrap_or_default();
            let named = path.rsplit('/').next().and_then(|full| self.schemas.get(full));
            let plain =
                named.is_some_and(|s| s.get("properties").is_none() && s["type"] == "string");
            return if plain && name == "Time" { "string".into() } else { name.to_owned() };
        }
        match schema["type"].as_str() {
            Some("object") | None => "Object".into(),
            Some(kind) => kind.to_owned(),
        }
    }

    fn description(&self, schema: &'a Value, out: &mut String) {
        let own = text(schema, "/description");
        let of = self.resolved(schema);
        let general = if std::ptr::eq(of, schema) { "" } else { text(of, "/description") };
        let _ = writeln!(out, "DESCRIPTION:");
        if own.is_empty() && general.is_empty() {
            let _ = writeln!(out, "    <empty>");
        }
        for part in [own, general].iter().filter(|part| !part.is_empty()) {
            wrapped(part, 4, out);
        }
        out.push_str("    \n");
    }

    fn fields(&self, schema: &'a Value, properties: &meta::Map, out: &mut String) {
        for (name, field) in properties {
            let mark = if root_requires(self.resolved(schema), name) { " -required-" } else { "" };
            let _ = writeln!(out, "  {name}\t<{}>{mark}", self.type_of(field));
            let description = text(field, "/description");
            wrapped(if description.is_empty() { "<no description>" } else { description }, 4, out);
            out.push('\n');
        }
    }

    fn tree(
        &self,
        schema: &'a Value,
        level: usize,
        above: &mut Vec<*const Value>,
        out: &mut String,
    ) {
        let resolved = self.resolved(schema);
        let here: *const Value = resolved;
        // A schema that holds itself is shown once.
        if above.contains(&here) {
            return;
        }
        above.push(here);
        for (name, field) in resolved["properties"].as_object().into_iter().flatten() {
            let mark = if root_requires(resolved, name) { " -required-" } else { "" };
            let _ = writeln!(out, "{}{name}\t<{}>{mark}", "  ".repeat(level), self.type_of(field));
            self.tree(field, level + 1, above, out);
        }
        above.pop();
    }
}

/// Words in lines of at most 80 characters.
fn wrapped(text: &str, indent: usize, out: &mut String) {
    const WIDTH: usize = 80;
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && indent + line.len() + 1 + word.len() > WIDTH {
                let _ = writeln!(out, "{}{line}", " ".repeat(indent));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        let _ = writeln!(out, "{}{line}", " ".repeat(indent));
    }
}
