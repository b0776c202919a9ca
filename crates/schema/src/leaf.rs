//! Scalars: what JSON each Go type accepts and how it is written again.

use crate::gotime;
use crate::graph::Scalar;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use meta::{GoDuration, Quantity, Value};

/// A JSON value as a scalar sees it.
#[derive(Debug)]
pub(crate) enum Token<'a> {
    Null,
    Bool(bool),
    String(String),
    /// As written.
    Number(&'a str),
    Array,
    Object,
}

/// Why a scalar refuses a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LeafError {
    /// `json: cannot unmarshal <this> into Go ... of type ...`; decoding goes on.
    Type(String),
    /// Any other error decoding goes on after.
    Saved(String),
    /// An error of a type's own `UnmarshalJSON`, which ends decoding.
    Fatal(String),
}

impl Token<'_> {
    /// As Go's type errors name it.
    pub(crate) fn noun(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(_) => "bool".into(),
            Self::String(_) => "string".into(),
            Self::Number(_) => "number".into(),
            Self::Array => "array".into(),
            Self::Object => "object".into(),
        }
    }

    /// What a nested `json.Unmarshal` into a bare Go value says.
    fn nested(&self, go: &str) -> LeafError {
        LeafError::Fatal(format!(
            "json: cannot unmarshal {} into Go value of type {go}",
            self.noun()
        ))
    }
}

/// Null stays null: what it means depends on the field.
pub(crate) fn read(scalar: Scalar, token: Token<'_>) -> Result<Value, LeafError> {
    if matches!(token, Token::Null) {
        return Ok(Value::Null);
    }
    match scalar {
        Scalar::String => match token {
            Token::String(text) => Ok(Value::String(text)),
            other => Err(LeafError::Type(other.noun())),
        },
        Scalar::Bool => match token {
            Token::Bool(value) => Ok(Value::Bool(value)),
            other => Err(LeafError::Type(other.noun())),
        },
        Scalar::Int32 => integer(token, i64::from(i32::MIN), i64::from(i32::MAX)),
        Scalar::Int64 => integer(token, i64::MIN, i64::MAX),
        Scalar::Double => double(token),
        Scalar::Bytes => bytes(token),
        Scalar::Time | Scalar::MicroTime => time(token, scalar == Scalar::MicroTime),
        Scalar::Duration => duration(token),
        Scalar::Quantity => quantity(token),
        Scalar::IntOrString => int_or_string(token),
        Scalar::SchemaOrBool => match token {
            Token::Bool(value) => Ok(Value::Bool(value)),
            _ => Err(LeafError::Fatal("boolean or JSON schema expected".into())),
        },
        // Only objects and lists mean anything; upstream drops the rest without a word.
        Scalar::SchemaOrArray | Scalar::SchemaOrStrings => Ok(Value::Null),
        Scalar::Raw | Scalar::FieldsV1 => Ok(any(token)),
    }
}

/// An untyped literal: integers that fit stay integers, as the decoder's PreserveInts has it.
pub(crate) fn any(token: Token<'_>) -> Value {
    match token {
        Token::Bool(value) => Value::Bool(value),
        Token::String(text) => Value::String(text),
        Token::Number(text) => number(text).unwrap_or(Value::Null),
        Token::Null | Token::Array | Token::Object => Value::Null,
    }
}

/// `None` when the number is beyond a float64.
pub(crate) fn number(text: &str) -> Option<Value> {
    if let Ok(value) = text.parse::<i64>() {
        return Some(value.into());
    }
    let value: f64 = text.parse().ok()?;
    serde_json::Number::from_f64(value).map(Value::Number)
}

fn integer(token: Token<'_>, least: i64, most: i64) -> Result<Value, LeafError> {
    match token {
        Token::Number(text) => match text.parse::<i64>() {
            Ok(value) if (least..=most).contains(&value) => Ok(value.into()),
            _ => Err(LeafError::Type(format!("number {text}"))),
        },
        other => Err(LeafError::Type(other.noun())),
    }
}

fn double(token: Token<'_>) -> Result<Value, LeafError> {
    match token {
        Token::Number(text) => {
            number(text).ok_or_else(|| LeafError::Type(format!("number {text}"))).map(whole)
        }
        other => Err(LeafError::Type(other.noun())),
    }
}

/// Go writes `1.0` as `1`.
pub(crate) fn whole(value: Value) -> Value {
    match value.as_f64() {
        Some(f) if value.is_f64() && f.fract() == 0.0 && f.abs() < 1e15 => (f as i64).into(),
        _ => value,
    }
}

fn bytes(token: Token<'_>) -> Result<Value, LeafError> {
    let Token::String(mut text) = token else { return Err(LeafError::Type(token.noun())) };
    if text.contains(['\r', '\n']) {
        text.retain(|c| c != '\r' && c != '\n');
    }
    match STANDARD.decode(&text) {
        Ok(_) => Ok(Value::String(text)),
        Err(why) => {
            Err(LeafError::Saved(format!("illegal base64 data at input byte {}", at(&why, &text))))
        }
    }
}

fn at(why: &base64::DecodeError, text: &str) -> usize {
    match why {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => {
            *at
        }
        _ => text.len(),
    }
}

fn time(token: Token<'_>, micro: bool) -> Result<Value, LeafError> {
    let Token::String(text) = token else { return Err(token.nested("string")) };
    if !micro && is_plain(text.as_bytes()) {
        return Ok(Value::String(text));
    }
    let layout = if micro { gotime::MICROS } else { gotime::SECONDS };
    let parsed = gotime::parse(&text, layout).map_err(LeafError::Fatal)?;
    if parsed == gotime::ZERO {
        return Ok(Value::Null);
    }
    Ok(Value::String(gotime::format(parsed, micro)))
}

/// `2026-01-02T03:04:05Z` with a day every month has: nothing to check further, nothing to rewrite.
fn is_plain(text: &[u8]) -> bool {
    let shape = b"dddd-dd-ddTdd:dd:ddZ";
    text.len() == shape.len()
        && text.iter().zip(shape).all(|(b, s)| if *s == b'd' { b.is_ascii_digit() } else { b == s })
        && &text[..4] != b"0001"
        && (b"01"..=b"12").contains(&&[text[5], text[6]])
        && (b"01"..=b"28").contains(&&[text[8], text[9]])
        && &text[11..13] < b"24".as_slice()
        && text[14] < b'6'
        && text[17] < b'6'
}

fn duration(token: Token<'_>) -> Result<Value, LeafError> {
    let Token::String(text) = token else { return Err(token.nested("string")) };
    let parsed = GoDuration::parse(&text).map_err(LeafError::Fatal)?;
    Ok(parsed.to_string().into())
}

fn quantity(token: Token<'_>) -> Result<Value, LeafError> {
    let token = match token {
        Token::String(text) if Quantity::is_plain(&text) => return Ok(Value::String(text)),
        token => token,
    };
    let text = match &token {
        Token::String(text) => text.trim(),
        Token::Number(text) => text,
        Token::Bool(true) => "true",
        _ => "{",
    };
    let parsed = Quantity::parse(text).map_err(|why| LeafError::Fatal(why.to_string()))?;
    Ok(parsed.to_string().into())
}

fn int_or_string(token: Token<'_>) -> Result<Value, LeafError> {
    match token {
        Token::String(text) => Ok(Value::String(text)),
        Token::Number(text) => match text.parse::<i32>() {
            Ok(value) => Ok(value.into()),
            Err(_) => {
                let nested = "into Go value of type int32";
                Err(LeafError::Fatal(format!("json: cannot unmarshal number {text} {nested}")))
            }
        },
        other => Err(other.nested("int32")),
    }
}
