//! Query strings: decoding, Docker's notion of true, and `filters`.

use engine::filter::Filters;

use crate::refusal::Refusal;

/// Decoded key-value pairs in the order they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Self {
        let pair = |p: &str| {
            let (k, v) = p.split_once('=').unwrap_or((p, ""));
            (decode(k, Plus::Space), decode(v, Plus::Space))
        };
        Self(text.split('&').filter(|p| !p.is_empty()).map(pair).collect())
    }

    /// The first value of `key`, empty when absent.
    pub fn get(&self, key: &str) -> &str {
        self.0.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v)
    }

    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(k, _)| k == key)
    }

    /// moby `httputils.BoolValue`: everything but these words is true.
    pub fn flag(&self, key: &str) -> bool {
        self.flag_or(key, false)
    }

    pub fn flag_or(&self, key: &str, default: bool) -> bool {
        if !self.has(key) {
            return default;
        }
        let word = self.get(key).trim().to_ascii_lowercase();
        !matches!(word.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// A whole number; an empty or absent value is `None`.
    pub fn number(&self, key: &str) -> Result<Option<i64>, Refusal> {
        match self.get(key) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Refusal::bad_request(format!(
                    "strconv.Atoi: parsing \"{text}\": invalid syntax ({key})"
                ))
            }),
        }
    }

    pub fn filters(&self) -> Result<Filters, Refusal> {
        Ok(Filters::parse(self.get("filters"))?)
    }
}

/// What a `+` stands for: a space in queries, itself in paths.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Plus {
    Space,
    Plus,
}

/// Percent-decoding; invalid UTF-8 becomes the replacement character.
pub fn decode(text: &str, plus: Plus) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let hex = |j: usize| bytes.get(j).and_then(|b| char::from(*b).to_digit(16));
        match bytes[i] {
            b'%' => match (hex(i + 1), hex(i + 2)) {
                (Some(hi), Some(lo)) => {
                    out.push((hi * 16 + lo) as u8);
                    i += 2;
                }
                _ => out.push(b'%'),
            },
            b'+' if plus == Plus::Space => out.push(b' '),
            b => out.push(b),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Plus, Query, decode};

    #[test]
    fn decodes() {
        let q = Query::parse("a=1&b=%2Fx+y&c&d=False&a=2&%");
        assert_eq!(q.get("b"), "/x y");
        assert_eq!(q.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert!(q.flag("a") && !q.flag("c") && !q.flag("d") && q.flag_or("e", true));
        assert_eq!(q.number("e").unwrap(), None);
        assert!(q.number("b").is_err());
        assert_eq!(decode("a%2", Plus::Plus), "a%2");
        assert_eq!(decode("a+%zz", Plus::Plus), "a+%zz");
    }
}
