//! Objects as YAML, in the shape kubectl prints: keys sorted, lists at the level of their key, quotes where a word
//! would otherwise mean something else (go-yaml's emitter).

use meta::Value;
use std::fmt::Write as _;

/// A whole document.
pub fn emit(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => node(&mut out, value, 0),
        Value::Array(list) if !list.is_empty() => node(&mut out, value, 0),
        _ => {
            scalar(&mut out, value, 0);
            out.push('\n');
        }
    }
    out
}

fn indent(out: &mut String, level: usize) {
    out.extend(std::iter::repeat_n(' ', level));
}

/// A map or list with something in it, starting at the beginning of a line.
fn node(out: &mut String, value: &Value, level: usize) {
    match value {
        Value::Object(map) => {
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 || !out.ends_with("- ") {
                    indent(out, level);
                }
                entry(out, key, value, level);
            }
        }
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                if at > 0 || !out.ends_with("- ") {
                    indent(out, level);
                }
                out.push_str("- ");
                match value {
                    Value::Object(map) if !map.is_empty() => node(out, value, level + 2),
                    Value::Array(list) if !list.is_empty() => node(out, value, level + 2),
                    _ => {
                        scalar(out, value, level + 2);
                        out.push('\n');
                    }
                }
            }
        }
        _ => {}
    }
}

fn entry(out: &mut String, key: &str, value: &Value, level: usize) {
    text(out, key, level, true);
    out.push(':');
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            node(out, value, level + 2);
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('\n');
            node(out, value, level);
        }
        _ => {
            out.push(' ');
            scalar(out, value, level + 2);
            out.push('\n');
        }
    }
}

fn scalar(out: &mut String, value: &Value, level: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        Value::String(word) => text(out, word, level, false),
        other => {
            // Writing to a string cannot fail.
            let _ = write!(out, "{other}");
        }
    }
}

fn text(out: &mut String, word: &str, level: usize, is_key: bool) {
    let odd = |c: char| (c.is_control() && c != '\n') || c == '\u{feff}';
    if word.contains('\n') && !is_key && !word.contains(odd) && !word.starts_with([' ', '\n']) {
        return block(out, word, level);
    }
    if word.contains(|c: char| c == '\n' || odd(c)) {
        // JSON's quotes are YAML's.
        let _ = write!(out, "{}", Value::from(word));
    } else if means_something_else(word) {
        let _ = write!(out, "\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""));
    } else if needs_quotes(word) {
        folded(out, &format!("'{}'", word.replace('\'', "''")), level);
    } else {
        folded(out, word, level);
    }
}

/// Long lines go on below at a space, as go-yaml does it.
fn folded(out: &mut String, word: &str, level: usize) {
    const WIDTH: usize = 80;
    let line_start = out.rfind('\n').map_or(0, |at| at + 1);
    let mut column = out[line_start..].chars().count();
    let mut before = ' ';
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        let alone = before != ' ' && chars.peek().is_some_and(|next| *next != ' ');
        if c == ' ' && column > WIDTH && alone {
            out.push('\n');
            indent(out, level);
            column = level;
        } else {
            out.push(c);
            column += 1;
        }
        before = c;
    }
}

fn block(out: &mut String, word: &str, level: usize) {
    out.push('|');
    let body = word.trim_end_matches('\n');
    match word.len() - body.len() {
        0 => out.push('-'),
        1 => {}
        _ => out.push('+'),
    }
    let lines = word.strip_suffix('\n').unwrap_or(word);
    for line in lines.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(out, level);
            out.push_str(line);
        }
    }
}

/// Words that YAML 1.1 reads as booleans, nulls, numbers or times.
fn means_something_else(word: &str) -> bool {
    const WORDS: &[&str] = &[
        "", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", ".nan", ".inf",
        "-.inf",
    ];
    let lower = word.to_lowercase();
    if WORDS.contains(&lower.as_str()) {
        return true;
    }
    let digits = word.trim_start_matches(['-', '+']).replace('_', "");
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && (digits.parse::<f64>().is_ok()
            || ["0x", "0o", "0b"].iter().any(|p| digits.starts_with(p))
            || digits
                .split(':')
                .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit())));
    is_number || looks_like_time(word)
}

fn looks_like_time(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() >= 10
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && (bytes.len() == 10 || matches!(bytes[10], b'T' | b't' | b' '))
        && bytes[5].is_ascii_digit()
}

fn needs_quotes(word: &str) -> bool {
    let first = word.chars().next().unwrap_or(' ');
    let special = matches!(
        first,
        '!' | '&'
            | '*'
            | '{'
            | '}'
            | '['
            | ']'
            | ','
            | '#'
            | '|'
            | '>'
            | '@'
            | '`'
            | '"'
            | '\''
            | '%'
            | ' '
    );
    let dashed =
        matches!(first, '-' | '?' | ':') && word[1..].chars().next().is_none_or(|c| c == ' ');
    special
        || dashed
        || word == "="
        || word == "<<"
        || word.starts_with("---")
        || word.contains(": ")
        || word.contains(" #")
        || word.ends_with(':')
        || word.ends_with(' ')
        || word.contains('\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn as_kubectl_prints() {
        let value = json!({
            "a": [{ "n": 1, "list": ["x", "y"], "empty": [] }, "true", "1", "a: b", "- x", "10:30"],
            "m": {}, "text": "one\ntwo\n", "open": "a\n\nb", "t": "2026-01-02T00:00:00Z", "star": "*",
            "nested": [[1, 2], []], "q": "it's",
        });
        let expected = "\
a:
- empty: []
  list:
  - x
  - \"y\"
  \"n\": 1
- \"true\"
- \"1\"
- 'a: b'
- '- x'
- \"10:30\"
m: {}
nested:
- - 1
  - 2
- []
open: |-
  a

  b
q: it's
star: '*'
t: \"2026-01-02T00:00:00Z\"
text: |
  one
  two
";
        assert_eq!(emit(&value), expected);
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_is_read_back(word in "[ -~\n]{0,12}", key in "[ -~]{1,8}") {
            let value = json!({ key: [word.clone(), { "k": word }] });
            let read = schema::yaml_to_json(emit(&value).as_bytes()).map(|c| c.value);
            proptest::prop_assert_eq!(read.ok(), Some(value));
        }
    }
}
