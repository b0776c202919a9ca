//! The syntax of JSON with the error texts of Go's scanner (sigs.k8s.io/json
//! `internal/golang/encoding/json/scanner.go`).

use std::borrow::Cow;

/// Deeper nesting is refused. Go allows 10000 levels, far beyond any object's use, at the price of stack.
pub(crate) const MAX_DEPTH: u32 = 512;

#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    pub text: &'a [u8],
    pub at: usize,
}

/// A syntax error's text.
pub(crate) type Syntax = String;

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is no white space, not consumed.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Consumes the next significant byte, which must be one of `wanted`.
    pub(crate) fn expect(&mut self, wanted: &[u8], context: &str) -> Result<u8, Syntax> {
        match self.peek() {
            Some(byte) if wanted.contains(&byte) => {
                self.at += 1;
                Ok(byte)
            }
            _ => Err(self.wrong(context)),
        }
    }

    /// The byte at hand does not fit.
    pub(crate) fn wrong(&self, context: &str) -> Syntax {
        match self.text.get(self.at) {
            None => "unexpected end of JSON input".into(),
            Some(&byte) => format!("invalid character {} {context}", quoted(byte)),
        }
    }

    pub(crate) fn literal(&mut self, word: &'static str) -> Result<(), Syntax> {
        for (i, wanted) in word.bytes().enumerate() {
            if self.text.get(self.at) != Some(&wanted) {
                debug_assert!(i > 0, "the caller looked at the first byte");
                return Err(
                    self.wrong(&format!("in literal {word} (expecting {})", quoted(wanted)))
                );
            }
            self.at += 1;
        }
        Ok(())
    }

    /// A number, as written.
    pub(crate) fn number(&mut self) -> Result<&'a str, Syntax> {
        let start = self.at;
        if self.text.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.text.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits("in numeric literal")?,
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default())
    }

    fn digits(&mut self, context: &str) -> Result<(), Syntax> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { Err(self.wrong(context)) } else { Ok(()) }
    }

    /// A string; the opening quote is at hand. Invalid UTF-8 and lone surrogates become U+FFFD.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Syntax> {
        let start = self.at + 1;
        self.at = start + plain_run(&self.text[start..]);
        match self.text.get(self.at) {
            Some(b'"') => {}
            Some(b'\\') => return self.escaped(start),
            _ => return Err(self.wrong("in string literal")),
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok(lossy(raw))
    }

    fn escaped(&mut self, start: usize) -> Result<Cow<'a, str>, Syntax> {
        let mut out = lossy(&self.text[start..self.at]).into_owned();
        loop {
            let run = self.at;
            self.at += plain_run(&self.text[run..]);
            out.push_str(&lossy(&self.text[run..self.at]));
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(self.wrong("in string literal")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Syntax> {
        self.at += 1;
        let plain = match self.text.get(self.at) {
            Some(b'u') => return self.unicode(),
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(*byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            _ => return Err(self.wrong("in string escape code")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode(&mut self) -> Result<char, Syntax> {
        let first = self.hex()?;
        if !(0xD800..0xDC00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or('\u{FFFD}'));
        }
        let before = self.at;
        if self.text[self.at..].starts_with(b"\\u") {
            self.at += 1;
            let second = self.hex()?;
            if (0xDC00..0xE000).contains(&second) {
                let joined = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Ok(char::from_u32(joined).unwrap_or('\u{FFFD}'));
            }
        }
        self.at = before;
        Ok('\u{FFFD}')
    }

    /// Four digits after the `u` at hand.
    fn hex(&mut self) -> Result<u32, Syntax> {
        self.at += 1;
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.text.get(self.at).and_then(|b| char::from(*b).to_digit(16));
            let digit = digit.ok_or_else(|| self.wrong("in \\u hexadecimal character escape"))?;
            value = value * 16 + digit;
            self.at += 1;
        }
        Ok(value)
    }
}

/// How many bytes of a string stand for themselves.
fn plain_run(text: &[u8]) -> usize {
    let ends = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    text.iter().position(ends).unwrap_or(text.len())
}

/// Every invalid byte becomes one U+FFFD, as Go has it.
fn lossy(raw: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(raw) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    for chunk in raw.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| '\u{FFFD}'));
    }
    Cow::Owned(out)
}

/// Go's `quoteChar`.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".into(),
        b'"' => "'\"'".into(),
        b'\\' => r"'\\'".into(),
        0x07 => r"'\a'".into(),
        0x08 => r"'\b'".into(),
        0x0c => r"'\f'".into(),
        b'\n' => r"'\n'".into(),
        b'\r' => r"'\r'".into(),
        b'\t' => r"'\t'".into(),
        0x0b => r"'\v'".into(),
        0x20..=0x7e => format!("'{}'", char::from(byte)),
        0xa1..=0xac | 0xae.. => format!("'{}'", char::from(byte)),
        0x80..=0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'\\x{byte:02x}'"),
    }
}
