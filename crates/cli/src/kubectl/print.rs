//! `-o`: how objects and tables are printed.

use super::jsonpath::{self, Template};
use super::kinds::Kinds;
use super::{text, yaml};
use crate::command::{Flag, on, one, perhaps};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use crate::template;
use meta::Value;

pub const OUTPUT: Flag = one(
    "output",
    Some('o'),
    "FORMAT",
    "json, yaml, name, wide, jsonpath=..., custom-columns=NAME:.path,..., go-template=...",
);
pub const MANAGED: Flag = on("show-managed-fields", None, "With metadata.managedFields");
pub const TEMPLATE: Flag =
    one("template", None, "TEMPLATE", "The template of -o jsonpath or go-template");
pub const DRY_RUN: Flag = perhaps("dry-run", "client|server", "client", "Say what would happen");

/// How to print.
pub enum Output {
    /// A table, or a line that says what was done.
    Plain {
        wide: bool,
    },
    Json,
    Yaml,
    Name,
    JsonPath(Template),
    GoTemplate(template::Template),
    Columns(Vec<(String, Template)>),
}

const FORMATS: &str = "json, yaml, name, wide, jsonpath, jsonpath-file, go-template, go-template-file, custom-columns, custom-columns-file";

impl Output {
    /// # Errors
    /// When the format is unknown or its template is none.
    pub fn of(call: &Call) -> Result<Self, Failure> {
        let Some(format) = call.get("output") else { return Ok(Self::Plain { wide: false }) };
        let more = call.get("template");
        let (name, given) = format.split_once('=').map_or((format, more), |(n, t)| (n, Some(t)));
        let bad = |why: String| Failure::plain(format!("error: error parsing {name} {why}"));
        let template = || {
            given.map(str::to_owned).ok_or_else(|| {
                Failure::plain(format!(
                    "error: template format specified but no template given ({name}=...)"
                ))
            })
        };
        let file = || {
            let path = template()?;
            std::fs::read_to_string(&path)
                .map_err(|e| Failure::plain(format!("error: error reading template {path}, {e}")))
        };
        let go = |t: String| template::Template::parse(&t).map(Self::GoTemplate);
        match name {
            "" => Ok(Self::Plain { wide: false }),
            "wide" => Ok(Self::Plain { wide: true }),
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            "name" => Ok(Self::Name),
            "jsonpath" => Template::parse(&template()?).map(Self::JsonPath).map_err(bad),
            "jsonpath-file" => Template::parse(file()?.trim_end()).map(Self::JsonPath).map_err(bad),
            "go-template" | "template" => go(template()?).map_err(bad),
            "go-template-file" => go(file()?).map_err(bad),
            "custom-columns" => columns(&template()?).map(Self::Columns).map_err(bad),
            "custom-columns-file" => column_file(&file()?).map(Self::Columns).map_err(bad),
            other => Err(Failure::plain(format!(
                "error: unable to match a printer suitable for the output format \"{other}\", allowed formats are: {FORMATS}"
            ))),
        }
    }

    pub fn is_plain(&self) -> bool {
        matches!(self, Self::Plain { .. })
    }

    /// Prints an object, or a list as a whole. `said` is the line that says what was done, without the word.
    ///
    /// # Errors
    /// When the template does not fit.
    pub fn object(
        &self,
        call: &Call,
        kinds: &Kinds,
        value: &Value,
        said: &str,
    ) -> Result<(), Failure> {
        let shows = call.has("show-managed-fields");
        let mut value = value.clone();
        if !shows {
            strip_managed(&mut value);
        }
        let bad = |why: String| Failure::plain(format!("error: error executing template: {why}"));
        match self {
            Self::Plain { .. } => out::line(format!("{} {said}", word(kinds, &value))),
            Self::Json => out::line(four_spaces(&value)),
            Self::Yaml => {
                out::write(yaml::emit(&value).as_bytes());
            }
            Self::Name => {
                each_of(&value).into_iter().for_each(|item| out::line(word(kinds, item)));
            }
            Self::JsonPath(template) => {
                out::write(template.render(&value).map_err(bad)?.as_bytes());
            }
            Self::GoTemplate(template) => {
                out::write(template.render(&value).map_err(bad)?.as_bytes());
            }
            Self::Columns(columns) => {
                let headings = !call.has("no-headers");
                print_columns(columns, &each_of(&value), headings);
            }
        }
        Ok(())
    }
}

/// The items of a list, or the object itself.
fn each_of(value: &Value) -> Vec<&Value> {
    match value.get("items").and_then(Value::as_array) {
        Some(items) => items.iter().collect(),
        None => vec![value],
    }
}

/// `deployment.apps/web`
pub fn word(kinds: &Kinds, value: &Value) -> String {
    let (version, kind) = (text(value, "/apiVersion"), text(value, "/kind"));
    let group = version.split_once('/').map(|(group, _)| group);
    let word = kinds.of(version, kind).map(super::kinds::Kind::word).unwrap_or_else(|| {
        let kind = kind.to_lowercase();
        group.map_or(kind.clone(), |group| format!("{kind}.{group}"))
    });
    format!("{word}/{}", text(value, "/metadata/name"))
}

pub fn strip_managed(value: &mut Value) {
    let one = |value: &mut Value| {
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    };
    match value.get_mut("items").and_then(Value::as_array_mut) {
        Some(items) => items.iter_mut().for_each(one),
        None => one(value),
    }
}

/// JSON with four spaces a level.
pub fn four_spaces(value: &Value) -> String {
    let pretty = serde_json::to_string_pretty(value).unwrap_or_default();
    // Go's encoder escapes these, and they stand in strings only.
    let pretty = pretty.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    let line = |line: &str| {
        let spaces = line.len() - line.trim_start().len();
        format!("{}{line}", " ".repeat(spaces))
    };
    pretty.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn columns(spec: &str) -> Result<Vec<(String, Template)>, String> {
    let one = |part: &str| {
        let (name, path) = part.split_once(':').ok_or_else(|| {
            format!("unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>")
        })?;
        Ok((name.to_owned(), Template::relaxed(path)?))
    };
    spec.split(',').map(one).collect()
}

fn column_file(text: &str) -> Result<Vec<(String, Template)>, String> {
    let mut lines = text.lines();
    let names = lines.next().unwrap_or_default().split_whitespace();
    let paths = lines.next().unwrap_or_default().split_whitespace();
    names.zip(paths).map(|(name, path)| Ok((name.to_owned(), Template::relaxed(path)?))).collect()
}

fn print_columns(columns: &[(String, Template)], items: &[&Value], headings: bool) {
    let mut rows = Vec::new();
    if headings {
        rows.push(columns.iter().map(|(name, _)| name.clone()).collect());
    }
    for item in items {
        rows.push(columns.iter().map(|(_, path)| cell(path, item)).collect::<Vec<_>>());
    }
    out::write(out::kube_table(&rows).as_bytes());
}

fn cell(path: &Template, item: &Value) -> String {
    let found = path.find(item);
    if found.is_empty() {
        return "<none>".into();
    }
    let go = |value: &&Value| match value {
        Value::Null => "<nil>".into(),
        Value::Object(_) | Value::Array(_) => template::printed(value),
        other => jsonpath::shown(other),
    };
    found.iter().map(go).collect::<Vec<_>>().join(",")
}
