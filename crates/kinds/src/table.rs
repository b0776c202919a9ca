//! Cells of `kubectl get`: upstream's pkg/printers/internalversion/printers.go in small words.

use crate::row::{Column, TableRow};
use meta::{Time, Value};
use serde_json::json;

/// `Name` is a string column of format `name`.
pub const NAME: Column =
    Column { name: "Name", kind: "string", format: "name", description: NAME_TEXT, priority: 0 };
pub const AGE: Column = col("Age", "string", CREATED_TEXT);

const NAME_TEXT: &str = "Name must be unique within a namespace.";
const CREATED_TEXT: &str = "Time at which the object was created on the server, in UTC.";

/// A column shown always.
pub const fn col(name: &'static str, kind: &'static str, description: &'static str) -> Column {
    Column { name, kind, format: "", description, priority: 0 }
}

/// A column shown with `-o wide`.
pub const fn wide(name: &'static str, kind: &'static str, description: &'static str) -> Column {
    Column { name, kind, format: "", description, priority: 1 }
}

/// What kinds without a printer show (rest.NewDefaultTableConvertor).
pub const CREATED_AT: TableRow =
    TableRow { columns: &[NAME, CREATED_COLUMN], cells: |v, _| vec![name(v), created(v)] };

const CREATED_COLUMN: Column = col("Created At", "date", CREATED_TEXT);

pub fn name(v: &Value) -> Value {
    text(v, "metadata.name").into()
}

fn created(v: &Value) -> Value {
    text(v, "metadata.creationTimestamp").into()
}

/// The member at a dotted path. Keys with dots cannot be reached this way.
pub fn at<'a>(v: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(v, |v, key| v.get(key)).filter(|v| !v.is_null())
}

/// As text; numbers and booleans too, `""` when absent.
pub fn text(v: &Value, path: &str) -> String {
    at(v, path).map_or_else(String::new, plain)
}

pub fn text_or(v: &Value, path: &str, default: &str) -> String {
    let found = text(v, path);
    if found.is_empty() { default.into() } else { found }
}

pub fn plain(v: &Value) -> String {
    match v {
        Value::String(s) => s.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

pub fn int(v: &Value, path: &str) -> i64 {
    at(v, path).and_then(Value::as_i64).unwrap_or(0)
}

pub fn list<'a>(v: &'a Value, path: &str) -> &'a [Value] {
    at(v, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub fn count(v: &Value, path: &str) -> usize {
    match at(v, path) {
        Some(Value::Array(a)) => a.len(),
        Some(Value::Object(o)) => o.len(),
        _ => 0,
    }
}

/// `5d`, from `metadata.creationTimestamp`.
pub fn age(v: &Value, now: Time) -> Value {
    since(v, "metadata.creationTimestamp", now).into()
}

/// Time passed since the time at `path`; `<unknown>` when it is not set (translateTimestampSince).
pub fn since(v: &Value, path: &str, now: Time) -> String {
    elapsed(&text(v, path), now)
}

/// As [`since`], for the text of a time.
pub fn elapsed(then: &str, now: Time) -> String {
    match Time::parse(then) {
        Some(then) => duration(now.ms_since(then) / 1000),
        None => "<unknown>".into(),
    }
}

/// duration.HumanDuration of apimachinery.
pub fn duration(secs: i64) -> String {
    match secs {
        ..-1 => "<invalid>".into(),
        -1..0 => "0s".into(),
        0..120 => format!("{secs}s"),
        120..600 if secs % 60 == 0 => format!("{}m", secs / 60),
        120..600 => format!("{}m{}s", secs / 60, secs % 60),
        600..10_800 => format!("{}m", secs / 60),
        10_800..28_800 => two(secs / 3600, "h", secs / 60 % 60, "m"),
        28_800..172_800 => format!("{}h", secs / 3600),
        172_800..691_200 => two(secs / 86_400, "d", secs / 3600 % 24, "h"),
        691_200..63_072_000 => format!("{}d", secs / 86_400),
        63_072_000..252_288_000 => two(secs / 31_536_000, "y", secs / 86_400 % 365, "d"),
        _ => format!("{}y", secs / 31_536_000),
    }
}

fn two(big: i64, unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
}

pub fn none_if_empty(text: String) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

/// `a=1,b=2`, `<none>` when empty (labels.FormatLabels).
pub fn pairs(v: &Value, path: &str) -> Value {
    none_if_empty(joined_pairs(v, path))
}

pub fn joined_pairs(v: &Value, path: &str) -> String {
    let Some(map) = at(v, path).and_then(Value::as_object) else { return String::new() };
    map.iter().map(|(k, v)| format!("{k}={}", plain(v))).collect::<Vec<_>>().join(",")
}

/// A LabelSelector in one line (metav1.FormatLabelSelector).
pub fn selector(v: &Value, path: &str) -> Value {
    none_if_empty(selector_text(v, path))
}

/// As [`selector`], `""` when it selects everything.
pub fn selector_text(v: &Value, path: &str) -> String {
    let mut parts = Vec::new();
    if let Some(map) = at(v, path).and_then(|s| s.get("matchLabels")).and_then(Value::as_object) {
        parts.extend(map.iter().map(|(k, v)| format!("{k}={}", plain(v))));
    }
    let wants = at(v, path).map_or(&[][..], |s| list(s, "matchExpressions"));
    parts.extend(wants.iter().map(expression));
    parts.sort();
    parts.join(",")
}

fn expression(want: &Value) -> String {
    let key = text(want, "key");
    let mut values: Vec<_> = list(want, "values").iter().map(plain).collect();
    values.sort();
    match text(want, "operator").as_str() {
        "In" => format!("{key} in ({})", values.join(",")),
        "NotIn" => format!("{key} notin ({})", values.join(",")),
        "Exists" => key,
        _ => format!("!{key}"),
    }
}

/// Names and images of a list of containers, each joined with commas (layoutContainerCells).
pub fn containers(v: &Value, path: &str) -> [Value; 2] {
    let each = |key: &str| {
        let all: Vec<_> = list(v, path).iter().map(|c| text(c, key)).collect();
        Value::from(all.join(","))
    };
    [each("name"), each("image")]
}

/// The default of `<path>` for an optional boolean that prints as `false`/`true`.
pub fn flag(v: &Value, path: &str) -> bool {
    at(v, path).and_then(Value::as_bool).unwrap_or(false)
}

/// A number cell.
pub fn number(v: &Value, path: &str) -> Value {
    json!(int(v, path))
}

/// `NAME AGE` kinds.
pub const NAME_AGE: TableRow =
    TableRow { columns: &[NAME, AGE], cells: |v, now| vec![name(v), age(v, now)] };
