//! Which files a COPY source means: wildcards, folders, what is left out.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use dockerfile::glob;
use dockerfile::ignore::{Ignore, clean};

use crate::error::{BuildError, Doing, Result};
use crate::rooted;

/// One thing a source named, links resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    /// Real path on this machine.
    pub path: PathBuf,
    /// Path within the origin, as it was named.
    pub name: String,
}

/// A tree to take files of.
pub struct Forest<'a> {
    pub root: &'a Path,
    /// `.dockerignore`, by paths within the tree.
    pub ignores: Vec<&'a Ignore>,
    /// `--exclude`, by paths within the folder that is copied.
    pub excludes: Option<&'a Ignore>,
}

impl Forest<'_> {
    pub fn leaves_out(&self, name: &str) -> bool {
        self.ignores.iter().any(|i| i.excludes(name))
    }

    /// Whether `--exclude` means a path within what is copied.
    fn cuts(&self, below: &str) -> bool {
        self.excludes.is_some_and(|e| e.excludes(below))
    }

    /// Whether everything below an excluded folder is excluded too.
    fn prunes(&self, name: &str) -> bool {
        self.ignores.iter().any(|i| i.excludes(name) && !i.has_exceptions())
    }

    /// What `source` means, in order of names.
    pub fn pick(&self, source: &str) -> Result<Vec<Picked>> {
        let source = clean(source);
        if source == "." || !glob::is_pattern(&source) {
            let name = if source == "." { String::new() } else { source };
            let there = rooted::resolve(self.root, &name).ok().filter(|_| !self.leaves_out(&name));
            let path = there.ok_or_else(|| missing(&name))?;
            return Ok(vec![Picked { path, name }]);
        }
        let mut out = Vec::new();
        self.search(self.root, "", &source, &mut out)?;
        if out.is_empty() {
            return Err(BuildError::new(format!(
                "COPY failed: no source files were specified: {source} matches nothing"
            )));
        }
        Ok(out)
    }

    fn search(&self, dir: &Path, at: &str, pattern: &str, out: &mut Vec<Picked>) -> Result<()> {
        let depth = pattern.split('/').count();
        for (name, path) in children(dir)? {
            let name = if at.is_empty() { name } else { format!("{at}/{name}") };
            if self.prunes(&name) {
                continue;
            }
            let folder = std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir());
            let last = name.rsplit('/').next().unwrap_or_default();
            let cut = !folder && self.cuts(last);
            if glob::matches(pattern, &name) && !self.leaves_out(&name) && !cut {
                let real = rooted::resolve(self.root, &name).unwrap_or_else(|_| path.clone());
                out.push(Picked { path: real, name });
                continue;
            }
            let deeper = pattern.contains("**") || name.split('/').count() < depth;
            if deeper && folder {
                self.search(&path, &name, pattern, out)?;
            }
        }
        Ok(())
    }

    /// Everything of a picked thing in order of paths: itself first (relative path empty).
    pub fn walk(&self, picked: &Picked, visit: &mut Visit<'_>) -> Result<()> {
        let meta = metadata(&picked.path)?;
        visit(&Entry { path: &picked.path, below: "", meta: &meta })?;
        if meta.is_dir() { self.descend(&picked.path, &picked.name, "", visit) } else { Ok(()) }
    }

    fn descend(&self, dir: &Path, name: &str, below: &str, visit: &mut Visit<'_>) -> Result<()> {
        for (child, path) in children(dir)? {
            let join = |a: &str| if a.is_empty() { child.clone() } else { format!("{a}/{child}") };
            let (name, below) = (join(name), join(below));
            let cut = self.cuts(&below);
            if self.prunes(&name) || cut && self.excludes.is_some_and(|e| !e.has_exceptions()) {
                continue;
            }
            let meta = metadata(&path)?;
            if !cut && !self.leaves_out(&name) {
                visit(&Entry { path: &path, below: &below, meta: &meta })?;
            }
            if meta.is_dir() {
                self.descend(&path, &name, &below, visit)?;
            }
        }
        Ok(())
    }
}

/// One file, folder, link or node.
pub struct Entry<'a> {
    pub path: &'a Path,
    /// Relative to what was picked.
    pub below: &'a str,
    pub meta: &'a Metadata,
}

pub type Visit<'v> = dyn FnMut(&Entry<'_>) -> Result<()> + 'v;

fn metadata(path: &Path) -> Result<Metadata> {
    std::fs::symlink_metadata(path).doing(|| format!("reading {}", path.display()))
}

/// Sorted by name. Names that are not UTF-8 are refused.
fn children(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let reading = || format!("reading {}", dir.display());
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).doing(reading)? {
        let entry = entry.doing(reading)?;
        let name = entry.file_name().into_string().map_err(|name| {
            BuildError::new(format!("the file name {} is not UTF-8", name.display()))
        })?;
        out.push((name, entry.path()));
    }
    out.sort();
    Ok(out)
}

/// moby's text of a source that is not there.
fn missing(name: &str) -> BuildError {
    BuildError::new(format!(
        "COPY failed: file not found in build context or excluded by .dockerignore: stat {name}: \
         file does not exist"
    ))
}

/// What counts for the cache besides content: kind, mode, owner, device. Never the time.
pub fn header(entry: &Entry<'_>) -> String {
    let m = entry.meta;
    let size = if m.is_file() { m.len() } else { 0 };
    format!("{}\0{:o}\0{}:{}\0{}\0{size}\0", entry.below, m.mode(), m.uid(), m.gid(), m.rdev())
}
