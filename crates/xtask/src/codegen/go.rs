//! `go.txt`: what the Go declarations say about pointers, `omitempty` and enums.

use std::collections::BTreeMap;

/// Keyed by package and lower-case type name, because `k8s-pb` spells names its own way.
#[derive(Debug, Default)]
pub struct Declared {
    pub structs: BTreeMap<(String, String), GoStruct>,
    /// `(package, type)` to values.
    pub enums: BTreeMap<(String, String), String>,
}

#[derive(Debug, Default)]
pub struct GoStruct {
    pub name: String,
    pub kind: bool,
    pub fields: Vec<GoField>,
    /// Protobuf numbers of embedded structs.
    pub embedded: Vec<u32>,
}

#[derive(Debug, Default, Clone)]
pub struct GoField {
    pub json: String,
    pub presence: String,
    pub go_type: String,
    pub enum_name: String,
}

pub fn read(text: &str) -> Declared {
    let mut out = Declared::default();
    let mut package = "";
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("P", name)) => package = name,
            Some(("M", rest)) => {
                let go = parse_struct(rest);
                out.structs.insert((package.into(), go.name.to_lowercase()), go);
            }
            Some(("E", rest)) => {
                let mut words = rest.splitn(3, ' ');
                let mut next = || words.next().unwrap_or_default().to_string();
                let key = (next(), next());
                out.enums.insert(key, next());
            }
            _ => {}
        }
    }
    out
}

fn parse_struct(rest: &str) -> GoStruct {
    let mut words = rest.split(' ').peekable();
    let mut go = GoStruct { name: words.next().unwrap_or_default().into(), ..GoStruct::default() };
    go.kind = words.next_if_eq(&"kind").is_some();
    for word in words {
        if let Some(number) = word.strip_prefix('+') {
            go.embedded.extend(number.parse::<u32>());
        } else if let Some((json, rest)) = word.split_once('=') {
            let (rest, enum_name) = rest.split_once('!').unwrap_or((rest, ""));
            let (presence, go_type) = rest.split_once(':').unwrap_or((rest, ""));
            go.fields.push(GoField {
                json: json.into(),
                presence: presence.into(),
                go_type: go_type.into(),
                enum_name: enum_name.into(),
            });
        }
    }
    go
}
