//! `cargo xtask codegen`: joins the facts of `k8s-openapi` and `k8s-pb` into the table that
//! `crates/schema` reads, `crates/schema/src/facts.txt`. With `--check` it only compares.
//!
//! Three sources, each for what only it knows: `k8s-pb` (field numbers, wire types, markers in
//! comments), `k8s-openapi` (names and what is required) and `go.txt` (pointers, `omitempty`, enums).

mod go;
mod join;
mod openapi;
mod pb;

use std::path::{Path, PathBuf};
use std::process::Command;

const TABLE: &str = "crates/schema/src/facts.txt";

pub fn run(args: &[String]) -> Result<(), String> {
    let check = args.iter().any(|arg| arg == "--check");
    let root = workspace_root();
    let table = generate(&root)?;
    let path = root.join(TABLE);
    if !check {
        std::fs::write(&path, &table).map_err(|e| format!("{}: {e}", path.display()))?;
        println!("{TABLE}: {} messages, {} bytes", messages(&table), table.len());
        return Ok(());
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if committed == table {
        Ok(())
    } else {
        Err(format!("{TABLE} is stale: run cargo xtask codegen"))
    }
}

fn generate(root: &Path) -> Result<String, String> {
    let packages = pb::read(&crate_source(root, "k8s-pb")?.join("src"))?;
    let definitions = openapi::read(&crate_source(root, "k8s-openapi")?.join("src/v1_35"))?;
    let declared = go::read(include_str!("codegen/go.txt"));
    join::join(&packages, &definitions, &declared)
}

fn messages(table: &str) -> usize {
    table.lines().filter(|line| line.starts_with("M ")).count()
}

fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where cargo keeps the source of a dependency.
fn crate_source(root: &Path, name: &str) -> Result<PathBuf, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .map_err(|e| format!("cargo metadata: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let manifest = packages
        .filter(|package| package["name"] == name)
        .find_map(|package| package["manifest_path"].as_str())
        .ok_or_else(|| format!("no dependency {name} in the lock file"))?;
    Ok(Path::new(manifest).parent().unwrap_or(root).to_path_buf())
}

/// Every `.rs` file below a folder, in a fixed order, with its path relative to that folder.
fn rust_files(dir: &Path) -> Result<Vec<(String, String)>, String> {
    let mut files = Vec::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(at) = todo.pop() {
        let entries = std::fs::read_dir(&at).map_err(|e| format!("{}: {e}", at.display()))?;
        for entry in entries {
            let path = entry.map_err(|e| e.to_string())?.path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = std::fs::read_to_string(&path)
                    .map_err(|e| format!("{}: {e}", path.display()))?;
                let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
                files.push((name, text));
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_table_is_current() {
        super::run(&["--check".to_string()])
            .expect("cargo xtask codegen was run after the last change");
    }
}
