//! Words and variables (BuildKit `frontend/dockerfile/shell/lex.go`): quotes, escapes and
//! `${name:-default}`. Bounded in depth and size.

use crate::glob;

/// Values by name.
pub trait Vars {
    fn get(&self, name: &str) -> Option<String>;
}

impl Vars for std::collections::BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        std::collections::BTreeMap::get(self, name).cloned()
    }
}

const DEPTH_MAX: usize = 64;
const SIZE_MAX: usize = 1 << 20;

/// Expands one text. Errors are messages without a place.
pub struct Expander<'a> {
    pub escape: char,
    pub vars: &'a dyn Vars,
    /// Names that had no value, in the order met.
    pub unset: Vec<String>,
}

struct Cursor<'t> {
    text: &'t [char],
    at: usize,
    depth: usize,
    /// Finished words and whether the word at hand exists (a quoted empty one does).
    words: Vec<String>,
    word: String,
    open: bool,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }
    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }
    fn push(&mut self, c: char) {
        self.word.push(c);
        self.open = true;
    }
    fn end_word(&mut self) {
        if std::mem::take(&mut self.open) {
            self.words.push(std::mem::take(&mut self.word));
        }
    }
}

impl<'a> Expander<'a> {
    pub fn new(escape: char, vars: &'a dyn Vars) -> Self {
        Self { escape, vars, unset: Vec::new() }
    }

    /// One word: quotes go, blanks stay.
    pub fn word(&mut self, text: &str) -> Result<String, String> {
        let chars: Vec<char> = text.chars().collect();
        let mut cursor = start(&chars, 0);
        self.run(&mut cursor, None, false)?;
        Ok(cursor.word)
    }

    /// Several words: split at blanks outside quotes, also inside expanded values.
    pub fn words(&mut self, text: &str) -> Result<Vec<String>, String> {
        let chars: Vec<char> = text.chars().collect();
        let mut cursor = start(&chars, 0);
        self.run(&mut cursor, None, true)?;
        cursor.end_word();
        Ok(cursor.words)
    }

    /// Only variables; quotes and all other characters stay (bodies of here-documents).
    pub fn body(&mut self, text: &str) -> Result<String, String> {
        let chars: Vec<char> = text.chars().collect();
        let mut cursor = start(&chars, 0);
        while let Some(c) = cursor.take() {
            if c == self.escape && cursor.peek() == Some('$') {
                cursor.take();
                cursor.push('$');
            } else if c == '$' {
                let value = self.dollar(&mut cursor)?;
                append(&mut cursor, &value, false)?;
            } else {
                cursor.push(c);
            }
        }
        Ok(cursor.word)
    }

    fn run(&mut self, c: &mut Cursor<'_>, stop: Option<char>, split: bool) -> Result<(), String> {
        while let Some(ch) = c.peek() {
            if Some(ch) == stop {
                return Ok(());
            }
            c.at += 1;
            match ch {
                '\'' => self.single(c)?,
                '"' => self.double(c)?,
                '$' => {
                    let value = self.dollar(c)?;
                    append(c, &value, split)?;
                }
                ch if ch == self.escape => {
                    if let Some(next) = c.take() {
                        c.push(next);
                    }
                }
                ch if split && ch.is_whitespace() => c.end_word(),
                ch => c.push(ch),
            }
        }
        match stop {
            Some(stop) => {
                Err(format!("unexpected end of statement while looking for matching {stop}"))
            }
            None => Ok(()),
        }
    }

    fn single(&mut self, c: &mut Cursor<'_>) -> Result<(), String> {
        c.open = true;
        loop {
            match c.take() {
                Some('\'') => return Ok(()),
                Some(ch) => c.push(ch),
                None => return Err(unmatched("single")),
            }
        }
    }

    fn double(&mut self, c: &mut Cursor<'_>) -> Result<(), String> {
        c.open = true;
        loop {
            match c.take() {
                Some('"') => return Ok(()),
                Some('$') => {
                    let value = self.dollar(c)?;
                    append(c, &value, false)?;
                }
                Some(ch) if ch == self.escape => match c.peek() {
                    Some(next) if next == '"' || next == '$' || next == self.escape => {
                        c.at += 1;
                        c.push(next);
                    }
                    Some(_) => c.push(ch),
                    None => return Err(unmatched("double")),
                },
                Some(ch) => c.push(ch),
                None => return Err(unmatched("double")),
            }
        }
    }

    /// What stands after a `$`.
    fn dollar(&mut self, c: &mut Cursor<'_>) -> Result<String, String> {
        if c.peek() != Some('{') {
            let name = name(c);
            return Ok(if name.is_empty() { "$".to_owned() } else { self.value(&name) });
        }
        c.at += 1;
        if matches!(c.peek(), Some('{')) {
            return Err("syntax error: bad substitution".to_owned());
        }
        let name = name(c);
        match (name.is_empty(), c.take()) {
            (true, _) => Err("syntax error: bad substitution".to_owned()),
            (_, Some('}')) => Ok(self.value(&name)),
            (_, Some(':')) => match c.take() {
                Some(op @ ('+' | '-' | '?')) => self.default(c, &name, op, true),
                Some(op) => Err(format!("unsupported modifier (:{op}) in substitution")),
                None => Err("syntax error: missing ':' in substitution".to_owned()),
            },
            (_, Some(op @ ('+' | '-' | '?'))) => self.default(c, &name, op, false),
            (_, Some(op @ ('#' | '%' | '/'))) => self.pattern(c, &name, op),
            (_, Some(op)) => Err(format!("unsupported modifier ({op}) in substitution")),
            (_, None) => Err("syntax error: missing '}' in substitution".to_owned()),
        }
    }

    /// The word up to `stop`, itself expanded.
    fn nested(&mut self, c: &mut Cursor<'_>, stop: char) -> Result<String, String> {
        if c.depth >= DEPTH_MAX {
            return Err("substitutions are nested too deeply".to_owned());
        }
        let mut inner = start(c.text, c.depth + 1);
        inner.at = c.at;
        self.run(&mut inner, Some(stop), false)?;
        c.at = inner.at;
        Ok(inner.word)
    }

    fn default(
        &mut self,
        c: &mut Cursor<'_>,
        name: &str,
        op: char,
        empty_counts: bool,
    ) -> Result<String, String> {
        let word = self.nested(c, '}')?;
        c.at += 1;
        let value = self.vars.get(name);
        let set = value.as_ref().is_some_and(|v| !empty_counts || !v.is_empty());
        match op {
            '-' => Ok(if set { value.unwrap_or_default() } else { word }),
            '+' => Ok(if set { word } else { String::new() }),
            _ if set => Ok(value.unwrap_or_default()),
            _ if word.is_empty() && empty_counts => {
                Err(format!("{name}: is not allowed to be empty"))
            }
            _ if word.is_empty() => Err(format!("{name}: is not allowed to be unset")),
            _ => Err(format!("{name}: {word}")),
        }
    }

    fn pattern(&mut self, c: &mut Cursor<'_>, name: &str, op: char) -> Result<String, String> {
        let double = c.peek() == Some(op);
        if double {
            c.at += 1;
        }
        let pattern = self.nested(c, if op == '/' { '/' } else { '}' })?;
        c.at += 1;
        let replacement = if op == '/' {
            let replacement = self.nested(c, '}')?;
            c.at += 1;
            replacement
        } else {
            String::new()
        };
        let value = self.value(name);
        let cut = |value: &str, longest| match op {
            '#' => glob::strip_prefix(value, &pattern, longest),
            _ => glob::strip_suffix(value, &pattern, longest),
        };
        Ok(match op {
            '/' => glob::replace(&value, &pattern, &replacement, double),
            _ => cut(&value, double),
        })
    }

    fn value(&mut self, name: &str) -> String {
        self.vars.get(name).unwrap_or_else(|| {
            if !self.unset.iter().any(|n| n == name) {
                self.unset.push(name.to_owned());
            }
            String::new()
        })
    }
}

fn start(text: &[char], depth: usize) -> Cursor<'_> {
    Cursor { text, at: 0, depth, words: Vec::new(), word: String::new(), open: false }
}

fn unmatched(kind: &str) -> String {
    format!("unexpected end of statement while looking for matching {kind}-quote")
}

/// A value into the word at hand; `split` makes its blanks separate words.
fn append(c: &mut Cursor<'_>, value: &str, split: bool) -> Result<(), String> {
    if c.word.len() + value.len() > SIZE_MAX {
        return Err(format!("the expanded text is larger than {SIZE_MAX} bytes"));
    }
    for ch in value.chars() {
        if split && ch.is_whitespace() {
            c.end_word();
        } else {
            c.push(ch);
        }
    }
    Ok(())
}

/// A variable's name, or one special character.
fn name(c: &mut Cursor<'_>) -> String {
    let mut out = String::new();
    match c.peek() {
        Some(ch) if ch.is_ascii_alphabetic() || ch == '_' => {
            while let Some(ch) = c.peek().filter(|ch| ch.is_ascii_alphanumeric() || *ch == '_') {
                out.push(ch);
                c.at += 1;
            }
        }
        Some(ch) if ch.is_ascii_digit() => {
            while let Some(ch) = c.peek().filter(char::is_ascii_digit) {
                out.push(ch);
                c.at += 1;
            }
        }
        Some(ch @ ('@' | '*' | '#' | '?' | '-' | '!')) => {
            out.push(ch);
            c.at += 1;
        }
        _ => {}
    }
    out
}
