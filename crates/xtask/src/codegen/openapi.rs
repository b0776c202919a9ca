//! Reads `k8s-openapi`'s source: which properties a definition has and which are required.

use super::rust_files;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

#[derive(Debug, Default)]
pub struct Definition {
    pub properties: BTreeSet<String>,
    pub required: BTreeSet<String>,
}

/// Definitions by name (`io.k8s.api.core.v1.Pod`). The crate is generated, so its indentation is a
/// grammar: property names stand at column 16 below `"properties"` at column 12.
pub fn read(dir: &Path) -> Result<BTreeMap<String, Definition>, String> {
    let mut out = BTreeMap::new();
    for (_, text) in rust_files(dir)? {
        let Some(line) = text.lines().find(|l| l.starts_with("// Generated from definition "))
        else {
            continue;
        };
        let name = line.trim_start_matches("// Generated from definition ").trim();
        if let Some((_, schema)) = text.rsplit_once("json_schema!({") {
            out.insert(name.to_string(), parse(schema));
        }
    }
    Ok(out)
}

fn parse(schema: &str) -> Definition {
    let mut out = Definition::default();
    let mut section = "";
    for line in schema.lines() {
        let depth = line.len() - line.trim_start().len();
        let word = line.trim_start().split('"').nth(1).unwrap_or_default();
        match depth {
            12 => section = word,
            16 if line.trim_start().starts_with('"') => {
                match section {
                    "properties" => out.properties.insert(word.into()),
                    "required" => out.required.insert(word.into()),
                    _ => false,
                };
            }
            _ => {}
        }
    }
    out
}
