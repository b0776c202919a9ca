//! The functions templates may call: Go's own, docker's (`templates/templates.go`) and kubectl's.

use base64::Engine as _;
use meta::Value;
use std::cmp::Ordering;

type Function = fn(&[Value]) -> Result<Value, String>;

pub(super) static FUNCTIONS: &[(&str, Function)] = &[
    ("and", |a| Ok(a.iter().find(|v| !truth(v)).or(a.last()).cloned().unwrap_or_default())),
    ("or", |a| Ok(a.iter().find(|v| truth(v)).or(a.last()).cloned().unwrap_or_default())),
    ("not", |a| Ok((!truth(arg(a, 0)?)).into())),
    ("eq", |a| {
        let first = arg(a, 0)?;
        Ok(a[1..].iter().any(|v| compare(first, v) == Some(Ordering::Equal)).into())
    }),
    ("ne", |a| Ok((compare(arg(a, 0)?, arg(a, 1)?) != Some(Ordering::Equal)).into())),
    ("lt", |a| ordered(a, &[Ordering::Less])),
    ("le", |a| ordered(a, &[Ordering::Less, Ordering::Equal])),
    ("gt", |a| ordered(a, &[Ordering::Greater])),
    ("ge", |a| ordered(a, &[Ordering::Greater, Ordering::Equal])),
    ("len", len),
    ("index", index),
    ("slice", slice),
    ("print", |a| Ok(a.iter().map(printed).collect::<String>().into())),
    ("println", |a| Ok(format!("{}\n", spaced(a)).into())),
    ("printf", |a| Ok(printf(&text(a, 0)?, &a[1..]).into())),
    ("json", |a| Ok(arg(a, 0)?.to_string().into())),
    ("toJson", |a| Ok(arg(a, 0)?.to_string().into())),
    ("lower", |a| Ok(text(a, 0)?.to_lowercase().into())),
    ("upper", |a| Ok(text(a, 0)?.to_uppercase().into())),
    ("title", |a| Ok(title(&text(a, 0)?).into())),
    ("split", |a| {
        let (text, by) = (text(a, 0)?, text(a, 1)?);
        Ok(text.split(&by).map(Value::from).collect())
    }),
    ("join", |a| {
        let list = arg(a, 0)?.as_array().cloned().unwrap_or_default();
        Ok(list.iter().map(printed).collect::<Vec<_>>().join(&text(a, 1)?).into())
    }),
    ("truncate", |a| {
        let len = arg(a, 1)?.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        Ok(text(a, 0)?.chars().take(len).collect::<String>().into())
    }),
    ("pad", |a| {
        let count = |at| arg(a, at).map(|v| v.as_u64().unwrap_or(0).min(200) as usize);
        let text = text(a, 0)?;
        Ok(format!("{}{text}{}", " ".repeat(count(1)?), " ".repeat(count(2)?)).into())
    }),
    ("base64decode", |a| {
        let decoded = base64::engine::general_purpose::STANDARD.decode(text(a, 0)?);
        let bytes = decoded.map_err(|e| e.to_string())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned().into())
    }),
    ("exists", |a| {
        let mut value = arg(a, 0)?;
        for key in &a[1..] {
            match key.as_str().and_then(|key| value.get(key)) {
                Some(below) => value = below,
                None => return Ok(false.into()),
            }
        }
        Ok(true.into())
    }),
];

fn arg(arguments: &[Value], at: usize) -> Result<&Value, String> {
    arguments.get(at).ok_or_else(|| "wrong number of args".into())
}

fn text(arguments: &[Value], at: usize) -> Result<String, String> {
    arg(arguments, at).map(printed)
}

/// What Go counts as true: anything that is not empty.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// Go's `%v`.
pub(crate) fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", spaced(list)),
        Value::Object(map) => {
            let pairs: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", printed(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

fn spaced(list: &[Value]) -> String {
    list.iter().map(printed).collect::<Vec<_>>().join(" ")
}

fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (a, b) => (a == b).then_some(Ordering::Equal),
    }
}

fn ordered(arguments: &[Value], wanted: &[Ordering]) -> Result<Value, String> {
    let order = compare(arg(arguments, 0)?, arg(arguments, 1)?);
    order.map(|order| wanted.contains(&order).into()).ok_or_else(|| "incompatible types".into())
}

fn len(arguments: &[Value]) -> Result<Value, String> {
    match arg(arguments, 0)? {
        Value::String(text) => Ok(text.len().into()),
        Value::Array(list) => Ok(list.len().into()),
        Value::Object(map) => Ok(map.len().into()),
        Value::Null => Ok(0.into()),
        _ => Err("it has no length".into()),
    }
}

fn index(arguments: &[Value]) -> Result<Value, String> {
    let mut value = arg(arguments, 0)?.clone();
    for key in &arguments[1..] {
        value = match (&value, key) {
            (Value::Object(map), Value::String(key)) => map.get(key).cloned().unwrap_or_default(),
            (Value::Array(list), Value::Number(at)) => {
                let at = at.as_u64().and_then(|at| usize::try_from(at).ok());
                let found = at.and_then(|at| list.get(at)).cloned();
                found.ok_or_else(|| format!("index out of range: {key}"))?
            }
            (Value::Null, _) => return Err("index of untyped nil".into()),
            _ => return Err(format!("can't index item with {}", printed(key))),
        };
    }
    Ok(value)
}

fn slice(arguments: &[Value]) -> Result<Value, String> {
    let text = text(arguments, 0)?;
    let bound = |at: usize, default| {
        let given = arguments.get(at).and_then(Value::as_u64);
        given.and_then(|n| usize::try_from(n).ok()).unwrap_or(default)
    };
    let part = text.get(bound(1, 0)..bound(2, text.len()));
    part.map(Value::from).ok_or_else(|| "slice bounds out of range".into())
}

fn title(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + chars.as_str())
        .unwrap_or_default()
}

/// Verbs with flags and width: `%s %v %d %q %t %f %x %%`.
fn printf(format: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(end) = rest.find(|c: char| c.is_alphabetic() || c == '%') else { break };
        let (how, verb) = (&rest[..end], rest[end..].chars().next().unwrap_or('%'));
        rest = &rest[end + verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
            continue;
        }
        let word = match arguments.next() {
            None => format!("%!{verb}(MISSING)"),
            Some(value) => verbed(verb, how, value),
        };
        pad(&mut out, how, &word);
    }
    out.push_str(rest);
    out
}

fn verbed(verb: char, how: &str, value: &Value) -> String {
    let precision = how.split_once('.').and_then(|(_, digits)| digits.parse::<usize>().ok());
    match verb {
        'q' => format!("{:?}", printed(value)),
        'x' => value.as_i64().map_or_else(|| printed(value), |n| format!("{n:x}")),
        'f' => format!("{:.*}", precision.unwrap_or(6).min(30), value.as_f64().unwrap_or(0.0)),
        's' => printed(value).chars().take(precision.unwrap_or(usize::MAX)).collect(),
        _ => printed(value),
    }
}

fn pad(out: &mut String, how: &str, word: &str) {
    let width = how.trim_start_matches(['-', '+', '#', ' ', '0']).split('.').next();
    let width: usize = width.and_then(|w| w.parse().ok()).unwrap_or(0).min(1000);
    let fill = " ".repeat(width.saturating_sub(word.chars().count()));
    if how.starts_with('-') {
        out.push_str(word);
        out.push_str(&fill);
    } else {
        out.push_str(&fill);
        out.push_str(word);
    }
}
