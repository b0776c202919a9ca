//! Takes the descriptions of types and fields out of the source of `k8s-openapi` and packs them, one
//! compressed block per package, so that `kubectl explain` has them without a copy in this repository.

use flate2::{Compression, write::ZlibEncoder};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Type and field (empty for the type itself) to the text as a JSON string.
type Texts = BTreeMap<(String, String), String>;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let source = source_of("k8s-openapi").expect("cargo metadata names the source of k8s-openapi");
    println!("cargo:rerun-if-changed={}", source.join("Cargo.toml").display());
    let mut packages: BTreeMap<String, Texts> = BTreeMap::new();
    read(&source.join("src/v1_35"), &mut packages);
    assert!(packages.len() > 20, "k8s-openapi's source has another layout than expected");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut blob = Vec::new();
    let mut index = String::from("&[\n");
    for (package, texts) in &packages {
        let start = blob.len();
        let mut packer = ZlibEncoder::new(&mut blob, Compression::best());
        packer.write_all(block(texts).as_bytes()).expect("writing to memory");
        packer.finish().expect("writing to memory");
        let _ = writeln!(index, "({package:?}, {start}, {}),", blob.len());
    }
    index.push(']');
    fs::write(out.join("descriptions.bin"), blob).expect("OUT_DIR is writable");
    fs::write(out.join("descriptions.rs"), index).expect("OUT_DIR is writable");
}

/// `{"Type": {"": "text", "field": "text"}}`
fn block(texts: &Texts) -> String {
    let mut out = String::from("{");
    let mut open = "";
    for ((name, field), text) in texts {
        if name != open {
            let close = if open.is_empty() { "" } else { "}," };
            let _ = write!(out, "{close}{name:?}:{{");
            open = name;
        } else {
            out.push(',');
        }
        let _ = write!(out, "{field:?}:{text}");
    }
    out.push_str(if open.is_empty() { "}" } else { "}}" });
    out
}

fn source_of(name: &str) -> Option<PathBuf> {
    let cargo = env::var_os("CARGO")?;
    let manifest = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--manifest-path"])
        .arg(manifest)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let paths =
        text.split("\"manifest_path\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    paths.filter_map(|path| Path::new(path).parent()).find_map(|dir| {
        let folder = dir.file_name()?.to_str()?.strip_prefix(name)?.strip_prefix('-')?;
        folder.starts_with(|c: char| c.is_ascii_digit()).then(|| dir.to_path_buf())
    })
}

fn read(dir: &Path, packages: &mut BTreeMap<String, Texts>) {
    let entries = fs::read_dir(dir).expect("k8s-openapi's source is readable");
    for entry in entries {
        let path = entry.expect("k8s-openapi's source is readable").path();
        if path.is_dir() {
            read(&path, packages);
        } else if let Ok(text) = fs::read_to_string(&path) {
            definition(&text, packages);
        }
    }
}

/// The crate is generated, so its indentation is a grammar: the type's own description stands at column
/// 12, property names at column 16 and what belongs to them below.
fn definition(text: &str, packages: &mut BTreeMap<String, Texts>) {
    let head = "// Generated from definition ";
    let Some(name) = text.lines().find_map(|line| line.strip_prefix(head)) else { return };
    let Some((package, name)) = name.trim().rsplit_once('.') else { return };
    let Some((_, schema)) = text.rsplit_once("json_schema!({") else { return };
    let texts = packages.entry(package.to_string()).or_default();
    let mut field = String::new();
    for line in schema.lines() {
        let inner = line.trim_start();
        let depth = line.len() - inner.len();
        if depth == 16 && inner.starts_with('"') {
            field = inner.split('"').nth(1).unwrap_or_default().to_string();
        }
        let described = match depth {
            12 | 20 => inner.strip_prefix("\"description\": "),
            _ => None,
        };
        let inserted = inner.split_once(".insert(\"description\".into(), ").map(|(_, rest)| rest);
        let Some(literal) = described.or(inserted).and_then(literal) else { continue };
        let field = if depth == 12 { String::new() } else { field.clone() };
        texts.entry((name.to_string(), field)).or_insert(literal);
    }
}

/// A Rust string literal at the start of the text as a JSON string.
fn literal(text: &str) -> Option<String> {
    let mut end = 1;
    let bytes = text.as_bytes();
    while bytes.get(end)? != &b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    let inner = &text[1..end];
    let inner = inner.replace("\\'", "'").replace("\\0", "");
    (!inner.contains("\\u{")).then(|| format!("\"{inner}\""))
}
