//! What is wrong with a Dockerfile, and where.

use std::fmt;

pub type Result<T> = std::result::Result<T, Problem>;

/// An error at a place of the file. Lines and columns count from 1; line 0 is the whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub line: usize,
    pub column: usize,
    pub message: String,
    pub hint: Option<String>,
    /// The line's text, once known.
    pub excerpt: String,
}

impl Problem {
    pub fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, column: 1, message: message.into(), hint: None, excerpt: String::new() }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Fills in the excerpt, and the column of `word` in it if it is there.
    #[must_use]
    pub fn in_text(mut self, text: &str) -> Self {
        if self.excerpt.is_empty() && self.line > 0 {
            text.lines().nth(self.line - 1).unwrap_or_default().clone_into(&mut self.excerpt);
        }
        let indent = self.excerpt.len() - self.excerpt.trim_start().len();
        self.column = self.column.max(indent + 1);
        self
    }

    /// Points at `word` of the line.
    #[must_use]
    pub fn at(mut self, text: &str, word: &str) -> Self {
        self = self.in_text(text);
        if let Some(at) = self.excerpt.find(word) {
            self.column = self.excerpt[..at].chars().count() + 1;
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}", self.message)?;
        } else {
            write!(f, "dockerfile parse error on line {}: {}", self.line, self.message)?;
        }
        if !self.excerpt.is_empty() {
            let gap = " ".repeat(self.column.saturating_sub(1));
            write!(f, "\n{:>4} | {}\n     | {gap}^", self.line, self.excerpt)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
