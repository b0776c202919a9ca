//! kubectl's JSONPath templates (client-go `util/jsonpath`): text with `{...}` parts, `{range}`, filters, unions.

use meta::Value;

/// A parsed template.
#[derive(Debug)]
pub struct Template(Vec<Node>);

#[derive(Debug)]
enum Node {
    Text(String),
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Node>),
}

#[derive(Debug, Clone)]
enum Step {
    Root,
    Field(String),
    /// `*` or `[*]`
    All,
    /// `..`: everything below, itself too.
    Deep,
    Slice(Option<i64>, Option<i64>, i64),
    Index(i64),
    Union(Vec<Step>),
    Filter(Vec<Step>, Option<(&'static str, Operand)>),
}

#[derive(Debug, Clone)]
enum Operand {
    Path(Vec<Step>),
    Constant(Value),
}

impl Template {
    /// # Errors
    /// Where it is no template.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text };
        let nodes = parser.nodes(0)?;
        if parser.rest.is_empty() {
            Ok(Self(nodes))
        } else {
            Err("not in range, nothing to end".into())
        }
    }

    /// `.metadata.name`, `metadata.name` or `{.metadata.name}`, as custom columns take it.
    ///
    /// # Errors
    /// When it is no path.
    pub fn relaxed(text: &str) -> Result<Self, String> {
        let inner =
            text.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('.');
        Self::parse(&format!("{{.{inner}}}"))
    }

    pub fn render(&self, value: &Value) -> Result<String, String> {
        let mut out = String::new();
        render(&self.0, value, value, &mut out)?;
        Ok(out)
    }

    /// What the paths of the template find.
    pub fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let paths = self.0.iter().filter_map(|node| match node {
            Node::Path(steps) => Some(follow(steps, value, value)),
            _ => None,
        });
        paths.flatten().collect()
    }
}

struct Parser<'t> {
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn nodes(&mut self, depth: usize) -> Result<Vec<Node>, String> {
        if depth > 32 {
            return Err("nested too deeply".into());
        }
        let mut out = Vec::new();
        while let Some(at) = self.rest.find('{') {
            if at > 0 {
                out.push(Node::Text(self.rest[..at].to_owned()));
            }
            self.rest = &self.rest[at + 1..];
            let action = self.action()?.trim();
            if action == "end" {
                return if depth > 0 {
                    Ok(out)
                } else {
                    Err("not in range, nothing to end".into())
                };
            }
            if let Some(path) = action.strip_prefix("range") {
                let steps = path_of(path.trim())?;
                out.push(Node::Range(steps, self.nodes(depth + 1)?));
            } else if action.starts_with(['"', '\'']) {
                out.push(Node::Text(unquoted(action)?));
            } else {
                for part in action.split_whitespace_outside() {
                    out.push(Node::Path(path_of(part)?));
                }
            }
        }
        if depth > 0 {
            return Err("unclosed range".into());
        }
        if !self.rest.is_empty() {
            out.push(Node::Text(std::mem::take(&mut self.rest).to_owned()));
        }
        Ok(out)
    }

    /// Up to the closing brace, outside quotes.
    fn action(&mut self) -> Result<&'t str, String> {
        let end = outside(self.rest, |c| c == '}').ok_or("unclosed action")?;
        let (action, rest) = (&self.rest[..end], &self.rest[end + 1..]);
        self.rest = rest;
        Ok(action)
    }
}

/// Where a character stands outside quotes and brackets.
fn outside(text: &str, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let (mut quote, mut depth, mut escaped) = (None, 0_usize, false);
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match (quote, c) {
            (_, '\\') => escaped = true,
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, c) if depth == 0 && wanted(c) => return Some(at),
            (None, '[' | '(') => depth += 1,
            (None, ']' | ')') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    None
}

trait SplitOutside {
    fn split_whitespace_outside(&self) -> Vec<&str>;
}

impl SplitOutside for str {
    fn split_whitespace_outside(&self) -> Vec<&str> {
        let mut out = Vec::new();
        let mut rest = self.trim();
        while !rest.is_empty() {
            let end = outside(rest, char::is_whitespace).unwrap_or(rest.len());
            out.push(&rest[..end]);
            rest = rest[end..].trim_start();
        }
        out
    }
}

fn unquoted(text: &str) -> Result<String, String> {
    let quote = text.chars().next().unwrap_or('"');
    let inner = text[1..].strip_suffix(quote).ok_or("unterminated quoted string")?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(c) => out.push(c),
                None => return Err("unterminated quoted string".into()),
            },
            c => out.push(c),
        }
    }
    Ok(out)
}

fn path_of(text: &str) -> Result<Vec<Step>, String> {
    let mut out = Vec::new();
    let mut rest = match text.as_bytes().first() {
        Some(b'$') => {
            out.push(Step::Root);
            &text[1..]
        }
        Some(b'@') => &text[1..],
        Some(b'.' | b'[') | None => text,
        Some(_) => return Err(format!("unrecognized identifier {text}")),
    };
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("..") {
            out.push(Step::Deep);
            rest = after;
            if !rest.starts_with('[') {
                rest = field(rest, &mut out)?;
            }
        } else if let Some(after) = rest.strip_prefix('.') {
            rest = if after.starts_with('[') { after } else { field(after, &mut out)? };
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = outside(after, |c| c == ']').ok_or("unterminated array")?;
            out.push(bracket(&after[..end])?);
            rest = &after[end + 1..];
        } else {
            return Err(format!("unexpected {rest:?} in a path"));
        }
    }
    Ok(out)
}

/// A name up to the next `.` or `[`; a backslash takes a dot into it.
fn field<'t>(text: &'t str, out: &mut Vec<Step>) -> Result<&'t str, String> {
    let (mut name, mut end, mut chars) = (String::new(), text.len(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '.' | '[' => {
                end = at;
                break;
            }
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            c => name.push(c),
        }
    }
    match name.as_str() {
        "" => {}
        "*" => out.push(Step::All),
        _ if name.contains([' ', '}', '{']) => {
            return Err(format!("unrecognized character in {name}"));
        }
        _ => out.push(Step::Field(name)),
    }
    Ok(&text[end..])
}

fn bracket(text: &str) -> Result<Step, String> {
    let text = text.trim();
    if text == "*" {
        return Ok(Step::All);
    }
    if let Some(inner) = text.strip_prefix("?(").and_then(|t| t.strip_suffix(')')) {
        return filter(inner);
    }
    let parts = split(text, ',');
    if parts.len() > 1 {
        let steps: Result<Vec<_>, _> = parts.into_iter().map(bracket).collect();
        return Ok(Step::Union(steps?));
    }
    if text.starts_with(['\'', '"']) {
        return Ok(Step::Field(unquoted(text)?));
    }
    if text.contains(':') {
        let number = |part: Option<&str>| -> Result<Option<i64>, String> {
            let part = part.map(str::trim).filter(|part| !part.is_empty());
            part.map(|p| p.parse().map_err(|_| format!("invalid array index {text}"))).transpose()
        };
        let mut parts = text.split(':');
        let (from, to) = (number(parts.next())?, number(parts.next())?);
        return Ok(Step::Slice(from, to, number(parts.next())?.unwrap_or(1)));
    }
    text.parse().map(Step::Index).map_err(|_| format!("invalid array index {text}"))
}

fn split(text: &str, by: char) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = outside(rest, |c| c == by) {
        out.push(&rest[..at]);
        rest = &rest[at + 1..];
    }
    out.push(rest);
    out
}

const OPERATORS: &[&str] = &["==", "!=", "<=", ">=", "<", ">"];

fn filter(text: &str) -> Result<Step, String> {
    for operator in OPERATORS {
        let first = operator.chars().next().unwrap_or('=');
        let at = outside(text, |c| c == first).filter(|at| text[*at..].starts_with(operator));
        if let Some(at) = at {
            let left = path_of(text[..at].trim())?;
            let right = text[at + operator.len()..].trim();
            let right = match right.chars().next() {
                Some('@' | '$' | '.') => Operand::Path(path_of(right)?),
                Some('"' | '\'') => Operand::Constant(unquoted(right)?.into()),
                _ => {
                    Operand::Constant(serde_json::from_str(right).unwrap_or_else(|_| right.into()))
                }
            };
            return Ok(Step::Filter(left, Some((operator, right))));
        }
    }
    Ok(Step::Filter(path_of(text.trim())?, None))
}

fn render(nodes: &[Node], value: &Value, root: &Value, out: &mut String) -> Result<(), String> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Path(steps) => {
                let found: Vec<String> =
                    follow(steps, value, root).into_iter().map(shown).collect();
                out.push_str(&found.join(" "));
            }
            Node::Range(steps, body) => {
                for item in follow(steps, value, root) {
                    render(body, item, root, out)?;
                }
            }
        }
    }
    Ok(())
}

/// Texts as they are, everything else as JSON.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn follow<'v>(steps: &[Step], value: &'v Value, root: &'v Value) -> Vec<&'v Value> {
    let mut found = vec![value];
    for step in steps {
        found = found.into_iter().flat_map(|value| one(step, value, root)).collect();
    }
    found
}

fn one<'v>(step: &Step, value: &'v Value, root: &'v Value) -> Vec<&'v Value> {
    match step {
        Step::Root => vec![root],
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::All => below(value),
        Step::Deep => {
            let mut out = vec![value];
            for child in below(value) {
                out.extend(one(step, child, root));
            }
            out
        }
        Step::Index(at) => {
            let Some(list) = value.as_array() else { return Vec::new() };
            let len = i64::try_from(list.len()).unwrap_or(i64::MAX);
            let at = if *at < 0 { at + len } else { *at };
            usize::try_from(at).ok().and_then(|at| list.get(at)).into_iter().collect()
        }
        Step::Slice(from, to, step) => slice(value, *from, *to, *step),
        Step::Union(steps) => steps.iter().flat_map(|step| one(step, value, root)).collect(),
        Step::Filter(left, right) => {
            let fits = |item: &&&Value| passes(left, right.as_ref(), item, root);
            let items = below(value);
            items.iter().filter(fits).copied().collect()
        }
    }
}

fn below(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn slice(value: &Value, from: Option<i64>, to: Option<i64>, step: i64) -> Vec<&Value> {
    let Some(list) = value.as_array() else { return Vec::new() };
    let len = i64::try_from(list.len()).unwrap_or(i64::MAX);
    let place =
        |at: i64| usize::try_from(if at < 0 { at + len } else { at }.clamp(0, len)).unwrap_or(0);
    let (from, to) = (place(from.unwrap_or(0)), place(to.unwrap_or(len)));
    let step = usize::try_from(step).unwrap_or(1).max(1);
    list.get(from..to.max(from)).unwrap_or_default().iter().step_by(step).collect()
}

fn passes(
    left: &[Step],
    right: Option<&(&'static str, Operand)>,
    item: &Value,
    root: &Value,
) -> bool {
    let found = follow(left, item, root);
    let Some(left) = found.first() else { return false };
    let Some((operator, right)) = right else { return true };
    let right = match right {
        Operand::Constant(value) => value,
        Operand::Path(steps) => match follow(steps, item, root).first() {
            Some(value) => value,
            None => return false,
        },
    };
    let order = match (left, right) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    };
    match *operator {
        "==" => *left == right,
        "!=" => *left != right,
        "<" => order.is_some_and(|o| o.is_lt()),
        "<=" => order.is_some_and(|o| o.is_le()),
        ">" => order.is_some_and(|o| o.is_gt()),
        _ => order.is_some_and(|o| o.is_ge()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(template: &str) -> String {
        let value = json!({
            "items": [
                { "metadata": { "name": "a", "labels": { "x.y/z": "1" } }, "n": 1,
                  "status": { "conditions": [{ "type": "Ready", "status": "True" }] } },
                { "metadata": { "name": "b" }, "n": 2, "status": { "conditions": [] } },
            ],
            "kind": "List",
        });
        Template::parse(template).and_then(|t| t.render(&value)).unwrap_or_else(|e| e)
    }

    #[test]
    fn what_people_write() {
        for (template, expected) in [
            ("{.items[*].metadata.name}", "a b"),
            ("{.items[0].metadata.name}", "a"),
            ("{.items[-1:].n}", "2"),
            (r#"{range .items[*]}{.metadata.name}{"\t"}{.n}{"\n"}{end}"#, "a\t1\nb\t2\n"),
            (r#"{.items[?(@.metadata.name=="b")].n}"#, "2"),
            (r#"{.items[?(@.n>1)].metadata.name}"#, "b"),
            (r#"{.items[0].status.conditions[?(@.type=="Ready")].status}"#, "True"),
            (r"{.items[0].metadata.labels.x\.y/z}", "1"),
            ("{.items[0].metadata.labels['x.y/z']}", "1"),
            ("{..name}", "a b"),
            ("{.items[0,1].n} {.kind}", "1 2 List"),
            ("{$.kind}", "List"),
            ("{.items[0].metadata}", r#"{"labels":{"x.y/z":"1"},"name":"a"}"#),
            ("{.nothing}", ""),
            ("{.items[:1].n}{.items[?(@.status)].n}", "11 2"),
        ] {
            assert_eq!(rendered(template), expected, "{template}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(rendered("{.items").contains("unclosed action"));
        assert!(rendered("{range .items[*]}x").contains("unclosed range"));
        assert!(rendered("{.items[x]}").contains("invalid array index"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_no_panic(text in "[a-z.{}()\\[\\]?@$*:,'\"=<0-9 -]{0,40}") {
            let _ = Template::parse(&text).and_then(|t| t.render(&json!({ "a": [1, { "b": 2 }] })));
        }
    }
}
