//! Label and field selectors as clients write them in a query (apimachinery `pkg/labels/selector.go`,
//! `pkg/fields/selector.go`).

use std::fmt;

/// All requirements must hold. The default selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector(pub Vec<Requirement>);

/// One requirement on a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub rule: LabelRule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelRule {
    In(Vec<String>),
    /// Also holds when the label is absent.
    NotIn(Vec<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

/// All terms must hold. The default selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector(pub Vec<FieldTerm>);

/// `name=value` or `name!=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldTerm {
    pub name: String,
    pub value: String,
    pub equal: bool,
}

impl LabelSelector {
    /// Parses `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`.
    ///
    /// # Errors
    /// Upstream's text after `unable to parse requirement: `.
    pub fn parse(text: &str) -> Result<Self, String> {
        let tokens = lex(text);
        let mut parser = Parser { tokens: &tokens, at: 0 };
        let mut requirements = parser.all()?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self(requirements))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether labels, given as a lookup, satisfy every requirement.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|r| r.rule.holds(get(&r.key)))
    }
}

impl LabelRule {
    pub fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|v| v.parse::<i64>().ok());
        match self {
            Self::In(any) => value.is_some_and(|v| any.iter().any(|a| a == v)),
            Self::NotIn(none) => value.is_none_or(|v| none.iter().all(|n| n != v)),
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::Greater(than) => number().is_some_and(|n| n > *than),
            Self::Less(than) => number().is_some_and(|n| n < *than),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(&'static str),
}

const SIGNS: &[&str] = &["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

fn lex(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(sign) = SIGNS.iter().find(|s| rest.starts_with(**s)) {
            tokens.push(Token::Sign(sign));
            rest = rest[sign.len()..].trim_start();
        } else {
            let stop = |c: char| c.is_whitespace() || "=!(),><".contains(c);
            let end = rest.find(stop).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].into()));
            rest = rest[end..].trim_start();
        }
    }
    tokens
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        self.at += 1;
        self.tokens.get(self.at - 1)
    }

    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn all(&mut self) -> Result<Vec<Requirement>, String> {
        let mut out = Vec::new();
        if self.tokens.is_empty() {
            return Ok(out);
        }
        loop {
            out.push(self.requirement()?);
            match self.next() {
                None => return Ok(out),
                Some(Token::Sign(",")) if self.peek().is_none() => {
                    return Err("found '', expected: identifier after ','".into());
                }
                Some(Token::Sign(",")) => {}
                Some(other) => return Err(found(Some(other), "',' or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let negated = self.peek() == Some(&Token::Sign("!"));
        if negated {
            self.at += 1;
        }
        let key = match self.next() {
            Some(Token::Word(word)) => word.clone(),
            other => return Err(found(other, "!, identifier, or 'end of string'")),
        };
        check_key(&key)?;
        let rule = match self.peek() {
            _ if negated => LabelRule::Absent,
            None | Some(Token::Sign(",")) => LabelRule::Exists,
            _ => self.rule()?,
        };
        Ok(Requirement { key, rule })
    }

    fn rule(&mut self) -> Result<LabelRule, String> {
        match self.next() {
            Some(Token::Word(word)) if word == "in" => self.set().map(LabelRule::In),
            Some(Token::Word(word)) if word == "notin" => self.set().map(LabelRule::NotIn),
            Some(Token::Sign("=" | "==")) => self.value().map(|v| LabelRule::In(vec![v])),
            Some(Token::Sign("!=")) => self.value().map(|v| LabelRule::NotIn(vec![v])),
            Some(Token::Sign(">")) => self.number().map(LabelRule::Greater),
            Some(Token::Sign("<")) => self.number().map(LabelRule::Less),
            other => Err(found(other, "in, notin, =, ==, !=, gt, lt")),
        }
    }

    /// Empty values are allowed: `a=`.
    fn value(&mut self) -> Result<String, String> {
        let value = match self.peek() {
            None | Some(Token::Sign(",")) => return Ok(String::new()),
            Some(Token::Word(word)) => word.clone(),
            other => return Err(found(other, "identifier")),
        };
        self.at += 1;
        check_value(&value)?;
        Ok(value)
    }

    fn number(&mut self) -> Result<i64, String> {
        let text = self.value()?;
        text.parse().map_err(|_| {
            format!("values[0][]: Invalid value: {text:?}: for 'Gt', 'Lt' operators, the value must be an integer")
        })
    }

    fn set(&mut self) -> Result<Vec<String>, String> {
        if self.next() != Some(&Token::Sign("(")) {
            self.at -= 1;
            return Err(found(self.peek(), "'('"));
        }
        let mut values = Vec::new();
        loop {
            match self.next().cloned() {
                Some(Token::Word(word)) => {
                    check_value(&word)?;
                    values.push(word);
                    match self.next() {
                        Some(Token::Sign(",")) if self.peek() == Some(&Token::Sign(")")) => {
                            values.push(String::new());
                        }
                        Some(Token::Sign(",")) => {}
                        Some(Token::Sign(")")) => break,
                        other => return Err(found(other, "',' or ')'")),
                    }
                }
                Some(Token::Sign(",")) => values.push(String::new()),
                Some(Token::Sign(")")) => break,
                other => return Err(found(other.as_ref(), "',', ')' or identifier")),
            }
        }
        if values.is_empty() {
            values.push(String::new());
        }
        values.sort();
        values.dedup();
        Ok(values)
    }
}

fn found(token: Option<&Token>, expected: &str) -> String {
    let text = match token {
        None => "",
        Some(Token::Word(word)) => word,
        Some(Token::Sign(sign)) => sign,
    };
    format!("found '{text}', expected: {expected}")
}

fn check_key(key: &str) -> Result<(), String> {
    match crate::names::qualified_name(key) {
        faults if faults.is_empty() => Ok(()),
        faults => Err(format!("key: Invalid value: {key:?}: {}", faults.join("; "))),
    }
}

fn check_value(value: &str) -> Result<(), String> {
    match crate::names::label_value(value) {
        faults if faults.is_empty() => Ok(()),
        faults => Err(format!("values[0][]: Invalid value: {value:?}: {}", faults.join("; "))),
    }
}

impl FieldSelector {
    /// Parses `a=b,c==d,e!=f`; `\` escapes `,`, `=` and itself.
    ///
    /// # Errors
    /// Upstream's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = split_unescaped(text).into_iter().filter(|p| !p.is_empty());
        parts.map(|part| term(&part)).collect::<Result<_, _>>().map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value a field must have, when a term pins it.
    pub fn pinned(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|t| t.equal && t.name == name).map(|t| t.value.as_str())
    }
}

fn split_unescaped(text: &str) -> Vec<String> {
    let (mut parts, mut escaped) = (vec![String::new()], false);
    for c in text.chars() {
        if c == ',' && !escaped {
            parts.push(String::new());
        } else {
            parts.last_mut().expect("starts with one part").push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts
}

fn term(part: &str) -> Result<FieldTerm, String> {
    for sign in ["!=", "==", "="] {
        if let Some((name, value)) = part.split_once(sign)
            && !name.contains(['=', '!'])
        {
            let value = unescape(value)?;
            return Ok(FieldTerm { name: name.trim().into(), value, equal: sign != "!=" });
        }
    }
    Err(format!("invalid selector: '{part}'; can't understand '{part}'"))
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    return Err(format!(
                        "invalid field selector: invalid escape sequence: {sequence}"
                    ));
                }
            },
            ',' | '=' => {
                return Err(format!("invalid field selector: unescaped character in value: {c}"));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let key = &r.key;
            match &r.rule {
                LabelRule::In(v) if v.len() == 1 => write!(f, "{comma}{key}={}", v[0])?,
                LabelRule::NotIn(v) if v.len() == 1 => write!(f, "{comma}{key}!={}", v[0])?,
                LabelRule::In(v) => write!(f, "{comma}{key} in ({})", v.join(","))?,
                LabelRule::NotIn(v) => write!(f, "{comma}{key} notin ({})", v.join(","))?,
                LabelRule::Exists => write!(f, "{comma}{key}")?,
                LabelRule::Absent => write!(f, "{comma}!{key}")?,
                LabelRule::Greater(n) => write!(f, "{comma}{key}>{n}")?,
                LabelRule::Less(n) => write!(f, "{comma}{key}<{n}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let parsed = LabelSelector::parse(selector).unwrap();
        parsed.matches(|k| labels.iter().find(|(key, _)| *key == k).map(|(_, v)| *v))
    }

    #[test]
    fn label_selectors_select() {
        let labels = [("app", "web"), ("tier", "2")];
        for yes in [
            "",
            "app=web",
            "app==web",
            "app in (a, web)",
            "app",
            "!db",
            "x!=1",
            "tier>1",
            "x notin (a)",
        ] {
            assert!(matches(yes, &labels), "{yes}");
        }
        for no in ["app=db", "app!=web", "!app", "db", "app notin (web)", "tier<2", "app="] {
            assert!(!matches(no, &labels), "{no}");
        }
    }

    #[test]
    fn bad_label_selectors_are_refused() {
        for bad in ["a=b,", "a in", "a in b", "=b", "a b", ",", "a in (b", "-x=1", "a=b c"] {
            assert!(LabelSelector::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn field_selectors_parse() {
        let s = FieldSelector::parse(r"metadata.name=a\,b,x!=y").unwrap();
        assert_eq!(s.pinned("metadata.name"), Some("a,b"));
        assert!(!s.0[1].equal);
        assert!(FieldSelector::parse("nonsense").is_err());
    }
}
