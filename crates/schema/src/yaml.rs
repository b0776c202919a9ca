//! YAML as sigs.k8s.io/yaml reads it: turned into JSON by the YAML 1.1 rules of go-yaml v2 (`yes` and
//! `on` are true, `0644` is octal), then decoded as JSON.
//!
//! The parser's events are read directly, because the rules need to know how a scalar was quoted and on
//! which line a duplicate key's value stands.

use crate::decode::{DecodeError, Decoded, Finding, decode_json};
use crate::graph::Type;
use crate::lexer::MAX_DEPTH;
use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use meta::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// Aliases may repeat this many nodes; more is an attack ("billion laughs").
const MOST_REPEATED: usize = 100_000;

/// A document as JSON, and `line 4: key "a" already set in map` for each duplicate key.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    pub value: Value,
    pub duplicates: Vec<String>,
}

/// Decodes the first YAML (or JSON) document of the given type.
///
/// Fields are met in alphabetical order, because upstream converts to JSON with sorted keys first.
pub fn decode_yaml(bytes: &[u8], ty: &Type) -> Result<Decoded, DecodeError> {
    let converted = yaml_to_json(bytes)?;
    let json = serde_json::to_vec(&converted.value)
        .map_err(|why| DecodeError { message: format!("error converting YAML to JSON: {why}") })?;
    let mut decoded = decode_json(&json, ty)?;
    if !converted.duplicates.is_empty() {
        let lines = converted.duplicates.join("\n  ");
        let text = format!("error converting YAML to JSON: yaml: unmarshal errors:\n  {lines}");
        decoded.findings.insert(0, Finding::Yaml(text));
    }
    Ok(decoded)
}

/// Turns the first document into JSON. An empty input is null.
pub fn yaml_to_json(bytes: &[u8]) -> Result<Converted, DecodeError> {
    let failed =
        |why: String| DecodeError { message: format!("error converting YAML to JSON: {why}") };
    let text = std::str::from_utf8(bytes)
        .map_err(|_| failed("yaml: invalid leading UTF-8 octet".into()))?;
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: BTreeMap::new(),
        repeated: 0,
        depth: 0,
        duplicates: Vec::new(),
    };
    let value = reader.document().map_err(failed)?;
    Ok(Converted { value, duplicates: reader.duplicates })
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, (Value, usize)>,
    repeated: usize,
    depth: u32,
    duplicates: Vec<String>,
}

/// A node: its value, its size in nodes, and the line it starts on.
struct Node {
    value: Value,
    size: usize,
    line: usize,
    /// An unquoted `<<`.
    merge: bool,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), String> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(why)) => Err(format!("yaml: line {}: {}", why.marker().line(), why.info())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Value, String> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(Value::Null),
                (event, span) => {
                    let value = self.node(event, span)?.value;
                    // What follows the document on its last line may still be malformed.
                    self.next()?;
                    return Ok(value);
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("yaml: exceeded max depth".into());
        }
        let line = span.start.line();
        let (anchor, mut node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let merge = style == ScalarStyle::Plain && tag.is_none() && text == "<<";
                let value = scalar(text, style, tag.as_deref())?;
                (anchor, Node { value, size: 1, line, merge })
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.sequence()?),
            Event::MappingStart(_, anchor, _) => (anchor, self.mapping()?),
            Event::Alias(id) => (0, self.alias(id)?),
            other => return Err(format!("yaml: line {line}: unexpected {other:?}")),
        };
        node.line = line;
        if anchor != 0 {
            self.anchors.insert(anchor, (node.value.clone(), node.size));
        }
        self.depth -= 1;
        Ok(node)
    }

    fn alias(&mut self, id: usize) -> Result<Node, String> {
        let (value, size) = self.anchors.get(&id).ok_or("yaml: anchor value contains itself")?;
        self.repeated += size;
        if self.repeated > MOST_REPEATED {
            return Err("yaml: document contains excessive aliasing".into());
        }
        Ok(Node { value: value.clone(), size: *size, line: 0, merge: false })
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let mut items = Vec::new();
        let mut size = 1;
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Node { value: Value::Array(items), size, line: 0, merge: false });
            }
            let node = self.node(event, span)?;
            size += node.size;
            items.push(node.value);
        }
    }

    fn mapping(&mut self) -> Result<Node, String> {
        let mut out = Map::new();
        let mut merged = Map::new();
        let mut size = 1;
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                for (key, value) in merged {
                    out.entry(key).or_insert(value);
                }
                return Ok(Node { value: Value::Object(out), size, line: 0, merge: false });
            }
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            let node = self.node(event, span)?;
            size += key.size + node.size;
            if key.merge {
                merge(&mut merged, node.value)?;
                continue;
            }
            let shown = key.value.to_string();
            let name = key_text(key.value)?;
            if out.insert(name, node.value).is_some() {
                let line = if node.line == 0 { key.line } else { node.line };
                self.duplicates.push(format!("line {line}: key {shown} already set in map"));
            }
        }
    }
}

/// `<<: *base`, or a list of maps of which the first one that has a key wins.
fn merge(into: &mut Map, value: Value) -> Result<(), String> {
    let maps = match value {
        Value::Array(items) => items,
        one => vec![one],
    };
    for map in maps {
        let Value::Object(map) = map else {
            return Err("yaml: map merge requires map or sequence of maps as the value".into());
        };
        for (key, value) in map {
            into.entry(key).or_insert(value);
        }
    }
    Ok(())
}

/// JSON has string keys only; numbers and booleans are written out.
fn key_text(key: Value) -> Result<String, String> {
    match key {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Null => Err("unsupported map key of type: <nil>".into()),
        Value::Array(_) | Value::Object(_) => Err("yaml: invalid map key".into()),
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let tag = tag.map(|tag| format!("{tag}"));
    let tag = tag.as_deref().map(|t| t.rsplit(['!', ':']).next().unwrap_or_default());
    match tag {
        None if style == ScalarStyle::Plain => Ok(plain(&text)),
        Some("int" | "float" | "bool" | "null") => Ok(plain(&text)),
        Some("binary") => binary(&text),
        _ => Ok(Value::String(text.into_owned())),
    }
}

/// `!!binary` is base64 of what must be text, as the result is JSON.
fn binary(text: &str) -> Result<Value, String> {
    use base64::Engine as _;
    let clean: String = text.split_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(clean);
    let bytes = bytes.map_err(|_| "yaml: !!binary value contains invalid base64 data")?;
    Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()))
}

/// go-yaml v2 `resolve.go`: an unquoted scalar's type follows from its text.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return true.into();
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return false.into();
        }
        _ => {}
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    let number = numeric.then(|| number(text)).flatten();
    number.unwrap_or_else(|| Value::String(text.into()))
}

fn number(text: &str) -> Option<Value> {
    let clean = text.replace('_', "");
    if let Some(value) = integer(&clean) {
        return Some(value);
    }
    if !is_float(&clean) {
        return None;
    }
    let value: f64 = clean.parse().ok()?;
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return Some((value as i64).into()); // as Go's JSON encoder writes it
    }
    serde_json::Number::from_f64(value).map(Value::Number)
}

/// Go's `ParseInt` with base 0: prefixes and a leading zero choose the base.
fn integer(text: &str) -> Option<Value> {
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &*lower),
    };
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    if !negative {
        return Some(value.into());
    }
    i64::try_from(-i128::from(value)).ok().map(Value::from)
}

/// `^[-+]?[0-9]*\.?[0-9]+([eE][-+][0-9]+)?$`, and `1.` which Go's own float parser takes after a point.
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or(("", mantissa));
    (whole.is_empty() || digits(whole))
        && digits(fraction)
        && exponent.is_none_or(|e| e.strip_prefix(['-', '+']).is_some_and(digits))
}
