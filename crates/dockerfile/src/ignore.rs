//! `.dockerignore` (moby `patternmatcher` and `ignorefile`): the last rule that fits decides.

use crate::glob;

/// The rules of one file, or of repeated `--exclude` flags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    pattern: String,
    /// `!`: takes the path back in.
    include: bool,
}

impl Ignore {
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self::of(text.lines().filter(|l| !l.starts_with('#')))
    }

    pub fn of<'a>(patterns: impl Iterator<Item = &'a str>) -> Self {
        let rules = patterns.filter_map(rule).collect();
        Self { rules }
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a path (relative, slashes) is left out. A folder's fate is its children's unless a
    /// later rule takes them back.
    pub fn excludes(&self, path: &str) -> bool {
        let mut out = false;
        for rule in &self.rules {
            if out == rule.include && rule.fits(path) {
                out = !rule.include;
            }
        }
        out
    }

    /// Whether something below an excluded folder might be taken back in.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|r| r.include)
    }
}

impl Rule {
    /// The path itself or one of its parents.
    fn fits(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.into_iter().any(|end| glob::matches(&self.pattern, &path[..end]))
    }
}

fn rule(line: &str) -> Option<Rule> {
    let line = line.trim();
    let (include, text) = match line.strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, line),
    };
    let pattern = clean(text);
    (!text.is_empty() && pattern != ".").then_some(Rule { pattern, include })
}

/// Go's `filepath.Clean` without the leading slash.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}
