//! JSON as Go's typed decoder reads it (sigs.k8s.io/json `internal/golang/encoding/json/decode.go`).
//!
//! One pass gives the value as Go would write it again, and what the strict decoder objects to. Types of
//! CRDs are not checked here, as upstream decodes custom resources without a type: only duplicates and
//! the contents of `metadata` are.

use crate::facts::{self, MessageId};
use crate::graph::{Scalar, Shape, Struct, Type};
use crate::leaf::{self, LeafError, Token};
use crate::lexer::{Lexer, MAX_DEPTH, Syntax};
use crate::presence;
use meta::{Map, Value};
use std::fmt;
use std::sync::OnceLock;

mod path;
#[cfg(test)]
mod tests;

use path::Path;

/// A decoded value with what a strict decoder objects to.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// As Go would serialise it again: nulls dropped, always-present fields present.
    pub value: Value,
    /// In upstream's order; at most 100, each once.
    pub findings: Vec<Finding>,
}

/// One objection of the strict decoder. `Display` gives upstream's text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Finding {
    /// `unknown field "spec.foo"`
    Unknown(String),
    /// `duplicate field "spec.replicas"`
    Duplicate(String),
    /// `yaml: unmarshal errors:\n  line 4: key "replicas" already set in map`
    Yaml(String),
}

/// Why bytes are not a value of the type at all: Go's text, without upstream's outer wrapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(path) => write!(f, "unknown field {path:?}"),
            Self::Duplicate(path) => write!(f, "duplicate field {path:?}"),
            Self::Yaml(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

/// Upstream stops counting here.
const MOST_FINDINGS: usize = 100;

/// Decodes JSON of the given type. A syntax error comes before any type error, wherever it stands.
pub fn decode_json(bytes: &[u8], ty: &Type) -> Result<Decoded, DecodeError> {
    let mut decoder = Decoder {
        lexer: Lexer::new(bytes),
        depth: 0,
        quiet: 0,
        findings: Vec::new(),
        saved: None,
        fatal: None,
    };
    let outcome = decoder.document(ty);
    let message = match (outcome, decoder.fatal, decoder.saved) {
        (Err(message), _, _) | (_, Some(message), _) | (_, _, Some(message)) => message,
        (Ok(value), None, None) => return Ok(Decoded { value, findings: decoder.findings }),
    };
    Err(DecodeError { message })
}

struct Decoder<'a> {
    lexer: Lexer<'a>,
    depth: u32,
    /// Above zero nothing is reported: inside values that are skipped or kept raw.
    quiet: u32,
    findings: Vec<Finding>,
    /// The first type error; decoding goes on after it.
    saved: Option<String>,
    /// The first error of a type's own unmarshaller; it wins over type errors.
    fatal: Option<String>,
}

/// What a value is decoded into: its type, and the Go type a field declares for it (else empty).
#[derive(Clone, Copy)]
struct Target<'t> {
    ty: &'t Type,
    go: &'t str,
}

impl<'a> Decoder<'a> {
    fn document(&mut self, ty: &Type) -> Result<Value, Syntax> {
        let mut value = self.value(Target { ty, go: "" }, &Path::Root)?;
        if self.lexer.peek().is_some() {
            return Err(self.lexer.wrong("after top-level value"));
        }
        if value.is_null() && matches!(ty.shape, Shape::Message(_)) {
            value = presence::zero(ty);
        }
        Ok(value)
    }

    fn value(&mut self, target: Target<'_>, path: &Path<'_>) -> Result<Value, Syntax> {
        match self.lexer.peek() {
            Some(b'{') => self.nested(|d| d.object(target, path)),
            Some(b'[') => self.nested(|d| d.array(target, path)),
            _ => self.literal(target, path),
        }
    }

    fn nested(
        &mut self,
        decode: impl FnOnce(&mut Self) -> Result<Value, Syntax>,
    ) -> Result<Value, Syntax> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("exceeded max depth".into());
        }
        let value = decode(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self, target: Target<'_>, path: &Path<'_>) -> Result<Value, Syntax> {
        match &target.ty.shape {
            Shape::Message(id) => self.structure(facts::message(*id), path),
            Shape::Map(item) if path.is_typed() => {
                let go = target.go.split_once(']').map_or("", |(_, item)| item);
                self.map(Some(Target { ty: item, go }), path)
            }
            Shape::Object(object) => self.custom(object, path),
            Shape::Any | Shape::Map(_) => self.map(None, path),
            Shape::List(_) if !path.is_typed() => self.map(None, path),
            Shape::Scalar(Scalar::Raw | Scalar::FieldsV1) => self.quietly(|d| d.map(None, path)),
            Shape::Scalar(
                Scalar::SchemaOrArray | Scalar::SchemaOrBool | Scalar::SchemaOrStrings,
            ) => self.apart(|d| d.structure(facts::message(schema_props()), &Path::Root)),
            Shape::Scalar(_) | Shape::List(_) => {
                self.quietly(|d| d.map(None, path))?;
                Ok(self.misfit(target, Token::Object, path))
            }
        }
    }

    fn array(&mut self, target: Target<'_>, path: &Path<'_>) -> Result<Value, Syntax> {
        let untyped = matches!(target.ty.shape, Shape::Any) || !path.is_typed();
        match &target.ty.shape {
            Shape::List(list) if !untyped => {
                let go = target.go.strip_prefix("[]").unwrap_or("");
                self.list(Some(Target { ty: &list.item, go }), path)
            }
            Shape::Scalar(Scalar::Raw | Scalar::FieldsV1) => self.quietly(|d| d.list(None, path)),
            Shape::Scalar(Scalar::SchemaOrArray) => {
                let item = Type::new(Shape::Message(schema_props()));
                self.apart(|d| d.list(Some(Target { ty: &item, go: "" }), &Path::Root))
            }
            Shape::Scalar(Scalar::SchemaOrStrings) => {
                let item = Type::new(Shape::Scalar(Scalar::String));
                self.apart(|d| d.list(Some(Target { ty: &item, go: "" }), &Path::Root))
            }
            _ if untyped => self.list(None, path),
            _ => {
                self.quietly(|d| d.list(None, path))?;
                Ok(self.misfit(target, Token::Array, path))
            }
        }
    }

    /// Strings, numbers, true, false and null.
    fn literal(&mut self, target: Target<'_>, path: &Path<'_>) -> Result<Value, Syntax> {
        let token = self.token()?;
        match &target.ty.shape {
            Shape::Any | Shape::Object(_) => return Ok(self.untyped(token, path)),
            _ if !path.is_typed() => return Ok(self.untyped(token, path)),
            _ => {}
        }
        Ok(self.misfit(target, token, path))
    }

    fn token(&mut self) -> Result<Token<'a>, Syntax> {
        Ok(match self.lexer.peek() {
            Some(b'"') => Token::String(self.lexer.string()?.into_owned()),
            Some(b'-' | b'0'..=b'9') => Token::Number(self.lexer.number()?),
            Some(b't') => self.lexer.literal("true").map(|()| Token::Bool(true))?,
            Some(b'f') => self.lexer.literal("false").map(|()| Token::Bool(false))?,
            Some(b'n') => self.lexer.literal("null").map(|()| Token::Null)?,
            _ => return Err(self.lexer.wrong("looking for beginning of value")),
        })
    }

    fn untyped(&mut self, token: Token<'_>, path: &Path<'_>) -> Value {
        if let Token::Number(text) = token {
            return leaf::number(text).unwrap_or_else(|| {
                self.save(&format!("number {text}"), "float64", path);
                Value::Null
            });
        }
        leaf::any(token)
    }

    /// A literal for a scalar, or a token that does not fit its target at all.
    fn misfit(&mut self, target: Target<'_>, token: Token<'_>, path: &Path<'_>) -> Value {
        let outcome = match &target.ty.shape {
            Shape::Scalar(scalar) => leaf::read(*scalar, token),
            _ if matches!(token, Token::Null) => Ok(Value::Null),
            _ => Err(LeafError::Type(token.noun())),
        };
        match outcome {
            Ok(value) => return value,
            Err(LeafError::Type(noun)) => self.save(&noun, &go_type(target), path),
            Err(LeafError::Saved(text)) => {
                self.saved.get_or_insert(text);
            }
            Err(LeafError::Fatal(text)) => {
                self.fatal.get_or_insert(text);
            }
        }
        Value::Null
    }

    fn structure(&mut self, object: &Struct, path: &Path<'_>) -> Result<Value, Syntax> {
        let mut out = Map::new();
        let mut seen: u128 = 0;
        self.members(|d, key| {
            let Some(at) = object.position(key) else {
                d.report(path, key, Finding::Unknown);
                return d.skip();
            };
            let field = &object.fields[at];
            let bit = 1u128.checked_shl(at as u32).unwrap_or(0);
            if seen & bit != 0 {
                d.report(path, key, Finding::Duplicate);
            }
            seen |= bit;
            let here = Path::Field { parent: path, owner: object, name: &field.name };
            let value = d.value(Target { ty: &field.ty, go: &field.go_type }, &here)?;
            presence::put(&mut out, field, value);
            Ok(())
        })?;
        presence::fill(&mut out, object);
        Ok(Value::Object(out))
    }

    /// An object of a CRD: nothing is checked but messages within (`metadata`).
    fn custom(&mut self, object: &Struct, path: &Path<'_>) -> Result<Value, Syntax> {
        let mut out = Map::new();
        self.members(|d, key| {
            if out.contains_key(key) {
                d.report(path, key, Finding::Duplicate);
            }
            let here = Path::Key { parent: path, key };
            let value = match object.field(key) {
                Some(field) => d.value(Target { ty: &field.ty, go: "" }, &here)?,
                None => d.value(Target { ty: any_type(), go: "" }, &here)?,
            };
            out.insert(key.to_string(), value);
            Ok(())
        })?;
        Ok(Value::Object(out))
    }

    fn map(&mut self, item: Option<Target<'_>>, path: &Path<'_>) -> Result<Value, Syntax> {
        let mut out = Map::new();
        let target = item.unwrap_or(Target { ty: any_type(), go: "" });
        self.members(|d, key| {
            if out.contains_key(key) {
                d.report(path, key, Finding::Duplicate);
            }
            let mut value = d.value(target, &Path::Key { parent: path, key })?;
            if value.is_null() && item.is_some() {
                value = presence::zero(target.ty);
            }
            out.insert(key.to_string(), value);
            Ok(())
        })?;
        Ok(Value::Object(out))
    }

    fn list(&mut self, item: Option<Target<'_>>, path: &Path<'_>) -> Result<Value, Syntax> {
        let mut out = Vec::new();
        let target = item.unwrap_or(Target { ty: any_type(), go: "" });
        self.lexer.at += 1;
        if self.lexer.peek() == Some(b']') {
            self.lexer.at += 1;
            return Ok(Value::Array(out));
        }
        loop {
            let mut value = self.value(target, &Path::Index { parent: path, at: out.len() })?;
            if value.is_null() && item.is_some() {
                value = presence::zero(target.ty);
            }
            out.push(value);
            if self.lexer.expect(b",]", "after array element")? == b']' {
                return Ok(Value::Array(out));
            }
        }
    }

    /// Runs `each` for every key of the object at hand; it must consume the value.
    fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, &str) -> Result<(), Syntax>,
    ) -> Result<(), Syntax> {
        self.lexer.at += 1;
        if self.lexer.peek() == Some(b'}') {
            self.lexer.at += 1;
            return Ok(());
        }
        loop {
            if self.lexer.peek() != Some(b'"') {
                return Err(self.lexer.wrong("looking for beginning of object key string"));
            }
            let key = self.lexer.string()?;
            self.lexer.expect(b":", "after object key")?;
            each(self, &key)?;
            if self.lexer.expect(b",}", "after object key:value pair")? == b'}' {
                return Ok(());
            }
        }
    }

    fn skip(&mut self) -> Result<(), Syntax> {
        self.quietly(|d| d.value(Target { ty: any_type(), go: "" }, &Path::Root)).map(drop)
    }

    fn quietly<T>(
        &mut self,
        decode: impl FnOnce(&mut Self) -> Result<T, Syntax>,
    ) -> Result<T, Syntax> {
        self.quiet += 1;
        let saved = self.saved.take();
        let value = decode(self)?;
        self.saved = saved;
        self.quiet -= 1;
        Ok(value)
    }

    /// Decodes as a nested `json.Unmarshal` does: no strictness, and its first error ends all decoding.
    fn apart(
        &mut self,
        decode: impl FnOnce(&mut Self) -> Result<Value, Syntax>,
    ) -> Result<Value, Syntax> {
        self.quiet += 1;
        let before = self.saved.take();
        let value = decode(self)?;
        if let Some(error) = std::mem::replace(&mut self.saved, before) {
            self.fatal.get_or_insert(error);
        }
        self.quiet -= 1;
        Ok(value)
    }

    fn report(&mut self, path: &Path<'_>, key: &str, finding: fn(String) -> Finding) {
        if self.quiet > 0 || self.findings.len() >= MOST_FINDINGS {
            return;
        }
        let mut at = path.strict();
        if !at.is_empty() {
            at.push('.');
        }
        let finding = finding(at + key);
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Go's UnmarshalTypeError.
    fn save(&mut self, noun: &str, go: &str, path: &Path<'_>) {
        if self.saved.is_some() {
            return;
        }
        let (owner, fields) = path.fields();
        self.saved = Some(match owner {
            Some(owner) => format!(
                "json: cannot unmarshal {noun} into Go struct field {}.{fields} of type {go}",
                owner.go_name
            ),
            None => format!("json: cannot unmarshal {noun} into Go value of type {go}"),
        });
    }
}

fn any_type() -> &'static Type {
    static ANY: Type = Type { shape: Shape::Any, atomic: false, nullable: false, rules: None };
    &ANY
}

pub(crate) fn schema_props() -> MessageId {
    static ID: OnceLock<MessageId> = OnceLock::new();
    const NAME: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
    *ID.get_or_init(|| facts::id_of(NAME).expect("the table holds JSONSchemaProps"))
}

/// A type as `reflect.Type.String` prints it.
fn go_type(target: Target<'_>) -> String {
    if !target.go.is_empty() {
        return target.go.to_string();
    }
    match &target.ty.shape {
        Shape::Scalar(scalar) => go_scalar(*scalar).to_string(),
        Shape::Message(id) => {
            let name = &facts::message(*id).name;
            let dot = name.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
            name[dot..].to_string()
        }
        Shape::List(list) => format!("[]{}", go_type(Target { ty: &list.item, go: "" })),
        Shape::Map(item) => format!("map[string]{}", go_type(Target { ty: item, go: "" })),
        Shape::Object(_) | Shape::Any => "interface {}".into(),
    }
}

const fn go_scalar(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::Bool => "bool",
        Scalar::Int32 => "int32",
        Scalar::Int64 => "int64",
        Scalar::Double => "float64",
        Scalar::Bytes => "[]uint8",
        _ => "string",
    }
}
