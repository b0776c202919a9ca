//! Physical lines to logical ones: directives, comments, continuations, here-documents
//! (BuildKit `parser.Parse`, `directives.go`).

use crate::heredoc::{self, Heredoc};
use crate::problem::{Problem, Result};

/// BuildKit refuses longer lines (Go's `bufio.MaxScanTokenSize`).
const LINE_MAX: usize = 65_535;
/// More than any Dockerfile needs; keeps hostile input small.
const FILE_MAX: usize = 4 << 20;

/// `# key=value` lines at the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    pub syntax: Option<String>,
    pub escape: char,
    pub check: Option<String>,
}

impl Default for Directives {
    fn default() -> Self {
        Self { syntax: None, escape: '\\', check: None }
    }
}

/// One instruction's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logical {
    /// First and last physical line, from 1; a here-document's lines included.
    pub line: usize,
    pub end: usize,
    pub text: String,
    pub heredocs: Vec<Heredoc>,
    /// Physical lines that were empty inside a continuation.
    pub empty_lines: Vec<usize>,
}

pub fn read(text: &str) -> Result<(Directives, Vec<Logical>)> {
    if text.len() > FILE_MAX {
        return Err(Problem::new(0, format!("the Dockerfile is larger than {FILE_MAX} bytes")));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<&str> = text.lines().collect();
    if let Some(n) = lines.iter().position(|l| l.len() > LINE_MAX) {
        let message = format!("dockerfile line greater than maximum allowed size of {LINE_MAX}");
        return Err(Problem::new(n + 1, message));
    }
    let directives = directives(&lines)?;
    let mut reader = Reader { lines: &lines, at: 0, escape: directives.escape };
    let mut out = Vec::new();
    while let Some(logical) = reader.next()? {
        out.push(logical);
    }
    Ok((directives, out))
}

fn directive(line: &str) -> Option<(String, &str)> {
    let (key, value) = line.strip_prefix('#')?.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.bytes().all(|b| b.is_ascii_alphanumeric());
    (plain && !value.is_empty()).then(|| (key.to_ascii_lowercase(), value))
}

fn directives(lines: &[&str]) -> Result<Directives> {
    let mut out = Directives::default();
    let mut seen: Vec<String> = Vec::new();
    // A script's first line may come before (`#!/usr/bin/env ...`).
    let skip = usize::from(lines.first().is_some_and(|l| l.starts_with("#!")));
    for (n, line) in lines.iter().enumerate().skip(skip) {
        let Some((key, value)) = directive(line) else { break };
        if !matches!(key.as_str(), "syntax" | "escape" | "check") {
            break;
        }
        if seen.contains(&key) {
            let text = format!("only one {key} parser directive can be used");
            return Err(Problem::new(n + 1, text));
        }
        match key.as_str() {
            "syntax" => out.syntax = Some(value.to_owned()),
            "check" => out.check = Some(value.to_owned()),
            _ => out.escape = escape(value, n + 1)?,
        }
        seen.push(key);
    }
    Ok(out)
}

fn escape(value: &str, line: usize) -> Result<char> {
    match value {
        "\\" => Ok('\\'),
        "`" => Ok('`'),
        _ => Err(Problem::new(line, format!("invalid ESCAPE '{value}' does not match ` or \\"))),
    }
}

struct Reader<'a> {
    lines: &'a [&'a str],
    at: usize,
    escape: char,
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Option<Logical>> {
        while self.lines.get(self.at).is_some_and(|l| is_comment(l) || l.trim().is_empty()) {
            self.at += 1;
        }
        if self.at >= self.lines.len() {
            return Ok(None);
        }
        let line = self.at + 1;
        let mut logical =
            Logical { line, end: line, text: String::new(), heredocs: vec![], empty_lines: vec![] };
        self.join(&mut logical);
        if takes_heredocs(&logical.text) {
            logical.heredocs = heredoc::announced(&logical.text, self.escape);
            self.bodies(&mut logical)?;
        }
        logical.end = self.at;
        Ok(Some(logical))
    }

    /// Joins continued lines; comments between them go.
    fn join(&mut self, logical: &mut Logical) {
        let mut first = true;
        while let Some(line) = self.lines.get(self.at) {
            self.at += 1;
            if !first && is_comment(line) {
                continue;
            }
            if !first && line.trim().is_empty() {
                logical.empty_lines.push(self.at);
                continue;
            }
            let line = if first { line.trim_start() } else { line };
            first = false;
            match continued(line, self.escape) {
                Some(part) => logical.text.push_str(part),
                None => {
                    logical.text.push_str(line);
                    break;
                }
            }
        }
        let kept = logical.text.trim_end().len();
        logical.text.truncate(kept);
    }

    fn bodies(&mut self, logical: &mut Logical) -> Result<()> {
        for doc in &mut logical.heredocs {
            loop {
                let Some(line) = self.lines.get(self.at) else {
                    return Err(Problem::new(logical.line, "unterminated heredoc")
                        .hint(format!("end it with a line that is exactly {}", doc.name)));
                };
                self.at += 1;
                let Some(line) = heredoc::body_line(doc, line) else { break };
                let line = line.to_owned();
                doc.content.push_str(&line);
                doc.content.push('\n');
            }
        }
        Ok(())
    }
}

/// The line without its ending escape character, when it goes on. A doubled one does not.
fn continued(line: &str, escape: char) -> Option<&str> {
    let part = line.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!part.ends_with(escape)).then_some(part)
}

fn takes_heredocs(text: &str) -> bool {
    let mut words = text.split_whitespace().map(str::to_ascii_uppercase);
    let mut word = words.next();
    if word.as_deref() == Some("ONBUILD") {
        word = words.next();
    }
    matches!(word.as_deref(), Some("RUN" | "COPY" | "ADD"))
}
