//! The repository's Rust files and the functions in them, read as text.

use std::fs;
use std::path::{Path, PathBuf};

/// One file.
pub struct Source {
    /// Relative to the repository: `crates/api/src/lib.rs`.
    pub path: String,
    pub text: String,
}

/// One function outside tests.
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

/// The repository's root.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map(Path::to_path_buf).unwrap_or(here)
}

/// Every `.rs` file below `crates/`, sorted by path.
pub fn all() -> Result<Vec<Source>, String> {
    let mut out = Vec::new();
    collect(&root().join("crates"), &mut out)?;
    out.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(out)
}

fn collect(dir: &Path, out: &mut Vec<Source>) -> Result<(), String> {
    let entries = fs::read_dir(dir).map_err(|e| format!("read `{}`: {e}", dir.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !matches!(entry.file_name().to_str(), Some("target" | "data" | "corpus")) {
                collect(&path, out)?;
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text =
                fs::read_to_string(&path).map_err(|e| format!("`{}`: {e}", path.display()))?;
            let relative = path.strip_prefix(root()).unwrap_or(&path);
            out.push(Source { path: relative.to_string_lossy().into_owned(), text });
        }
    }
    Ok(())
}

impl Source {
    pub fn crate_name(&self) -> &str {
        self.path.split('/').nth(1).unwrap_or_default()
    }

    /// Tests, examples and benches may do what the product may not.
    pub fn is_test(&self) -> bool {
        [
            "/tests/",
            "/tests.rs",
            "/examples/",
            "/benches/",
            "_tests.rs",
            "/golden.rs",
            "/testing.rs",
            "/fixtures/",
        ]
        .iter()
        .any(|part| self.path.contains(part))
    }

    /// Lines up to an inline `mod tests {`.
    pub fn product_lines(&self) -> usize {
        self.text.lines().take_while(|line| !line.starts_with("mod tests {")).count()
    }

    /// Functions by indentation: rustfmt puts the closing brace under the `fn`.
    pub fn functions(&self) -> Vec<Function> {
        let lines: Vec<&str> = self.text.lines().take(self.product_lines()).collect();
        let mut out = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else { continue };
            let indent = line.len() - line.trim_start().len();
            let end = lines[at..].iter().position(|l| {
                l.len() - l.trim_start().len() == indent
                    && (l.trim() == "}" || l.ends_with(';') || l.ends_with(" {}"))
            });
            if let Some(end) = end {
                out.push(Function { name, line: at + 1, lines: end + 1 });
            }
        }
        out
    }
}

fn function_name(line: &str) -> Option<String> {
    let mut rest = line.trim_start();
    for prefix in
        ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe ", "extern \"C\" "]
    {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let rest = rest.strip_prefix("fn ")?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    Some(rest[..end].to_string())
}
