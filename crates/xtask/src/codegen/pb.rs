//! Reads `k8s-pb`'s source: messages, field numbers, wire types and the markers in their comments.

use super::rust_files;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Default)]
pub struct Package {
    pub group: String,
    pub messages: Vec<Message>,
}

#[derive(Debug, Default)]
pub struct Message {
    pub name: String,
    pub markers: Vec<String>,
    pub fields: Vec<PbField>,
}

#[derive(Debug, Default)]
pub struct PbField {
    /// `host_ip`, without `r#`.
    pub name: String,
    pub number: u32,
    pub wire: Wire,
    pub markers: Vec<String>,
}

/// The form of a field on the wire; message references are `(package, name)`.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Wire {
    pub repeated: bool,
    pub map: bool,
    /// `string`, `int32`, `int64`, `bool`, `double`, `bytes` or `message`.
    pub scalar: String,
    pub message: Option<(String, String)>,
}

/// Packages by module path, `api/core/v1`.
pub fn read(dir: &Path) -> Result<BTreeMap<String, Package>, String> {
    let mut out = BTreeMap::new();
    for (file, text) in rust_files(dir)? {
        let Some(module) = file.strip_suffix("/mod.rs") else { continue };
        let package = parse(module, &text)?;
        if !package.messages.is_empty() {
            out.insert(module.to_string(), package);
        }
    }
    Ok(out)
}

fn parse(module: &str, text: &str) -> Result<Package, String> {
    let mut package = Package::default();
    let mut markers = Vec::new();
    let mut attribute = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if let Some(doc) = trimmed.strip_prefix("///") {
            let doc = doc.trim();
            if doc.starts_with('+') {
                markers.push(doc.to_string());
            }
        } else if let Some(rest) = line.strip_prefix("pub struct ") {
            let name = rest.trim_end_matches([' ', '{', '}']).to_string();
            let markers = std::mem::take(&mut markers);
            package.messages.push(Message { name, markers, fields: Vec::new() });
        } else if trimmed.starts_with("#[prost(") {
            attribute = trimmed.to_string();
        } else if line.starts_with("    pub ") && !attribute.is_empty() {
            let mut whole = trimmed.to_string();
            while !whole.ends_with(',') || whole.matches('<').count() != whole.matches('>').count()
            {
                whole.push_str(lines.next().ok_or("unfinished field")?.trim());
            }
            let field = parse_field(module, &attribute, &whole, std::mem::take(&mut markers))?;
            attribute.clear();
            package.messages.last_mut().ok_or("field outside a message")?.fields.push(field);
        } else if let Some(rest) = trimmed.strip_prefix("const GROUP: &'static str = \"") {
            package.group = rest.trim_end_matches([';', '"']).to_string();
        }
    }
    Ok(package)
}

/// `pub r#type: ::core::option::Option<i64>,` with `#[prost(int64, optional, tag = "1")]`.
fn parse_field(
    module: &str,
    attribute: &str,
    text: &str,
    markers: Vec<String>,
) -> Result<PbField, String> {
    let wrong = || format!("{module}: cannot read {attribute} {text}");
    let (name, rust_type) = text.split_once(':').ok_or_else(wrong)?;
    let name = name.trim_start_matches("pub ").trim_start_matches("r#").to_string();
    let number = attribute.split("tag = \"").nth(1).and_then(|rest| rest.split('"').next());
    let number = number.and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
    let inside = attribute.trim_start_matches("#[prost(");
    let map = inside.strip_prefix("btree_map = \"string, ");
    let scalar = map.unwrap_or(inside);
    let scalar: String = scalar.chars().take_while(char::is_ascii_alphanumeric).collect();
    let message = (scalar == "message").then(|| resolve(module, rust_type));
    let wire = Wire { repeated: inside.contains("repeated"), map: map.is_some(), scalar, message };
    Ok(PbField { name, number, wire, markers })
}

/// The message at the heart of a type, `super` resolved against the module it stands in.
fn resolve(module: &str, rust_type: &str) -> (String, String) {
    let heart = rust_type.trim_end_matches([',', '>']).rsplit(['<', ' ', ',']).next();
    let mut path: Vec<&str> = module.split('/').collect();
    let mut words: Vec<&str> = heart.unwrap_or_default().split("::").collect();
    let name = words.pop().unwrap_or_default().to_string();
    for word in words {
        match word {
            "super" => drop(path.pop()),
            other => path.push(other),
        }
    }
    (path.join("/"), name)
}

/// The value of `+name=value` among markers.
pub fn marker<'a>(markers: &'a [String], name: &str) -> Option<&'a str> {
    markers.iter().find_map(|m| m.strip_prefix(name)?.strip_prefix('='))
}

/// All values of `+name=value`, each comma-separated list taken apart.
pub fn marker_values<'a>(markers: &'a [String], name: &str) -> Vec<&'a str> {
    let all = markers.iter().filter_map(|m| m.strip_prefix(name)?.strip_prefix('='));
    all.flat_map(|v| v.split(',')).collect()
}
