//! The part of kubectl's JSONPath that CRD columns and selectable fields use:
//! `.a.b`, `.a['b.c']`, `.a[0]`, `.a[*].b`, `.a[?(@.type=="Ready")].status`.

use meta::Value;

/// All matches; one is itself, several print joined with spaces, none is `None`.
pub fn find(value: &Value, path: &str) -> Option<Value> {
    let mut found = vec![value];
    let mut rest = path.trim().trim_start_matches('$');
    while !rest.is_empty() {
        let (step, after) = next(rest)?;
        found = found.into_iter().flat_map(|v| follow(v, &step)).collect();
        rest = after;
    }
    match found.as_slice() {
        [] => None,
        [one] => (!one.is_null()).then(|| (*one).clone()),
        many => Some(many.iter().map(|v| kinds::plain(v)).collect::<Vec<_>>().join(" ").into()),
    }
}

enum Step<'a> {
    Key(&'a str),
    Index(i64),
    All,
    /// `@.key == value`
    Filter(&'a str, &'a str),
}

fn next(rest: &str) -> Option<(Step<'_>, &str)> {
    if let Some(rest) = rest.strip_prefix('[') {
        let (inner, after) = rest.split_once(']')?;
        return Some((bracket(inner)?, after));
    }
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    if let Some(after) = rest.strip_prefix('*') {
        return Some((Step::All, after));
    }
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    Some((Step::Key(&rest[..end]), &rest[end..]))
}

fn bracket(inner: &str) -> Option<Step<'_>> {
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) {
        let (key, value) = filter.split_once("==")?;
        let key = key.trim().strip_prefix("@.")?;
        return Some(Step::Filter(key, value.trim().trim_matches(['"', '\''])));
    }
    match inner.parse() {
        Ok(index) => Some(Step::Index(index)),
        Err(_) => Some(Step::Key(inner.trim_matches(['\'', '"']))),
    }
}

fn follow<'a>(value: &'a Value, step: &Step<'_>) -> Vec<&'a Value> {
    match (step, value) {
        (Step::Key(""), v) => vec![v],
        (Step::Key(key), v) => v.get(*key).into_iter().collect(),
        (Step::Index(at), Value::Array(items)) => {
            let at = if *at < 0 { items.len() as i64 + at } else { *at };
            usize::try_from(at).ok().and_then(|at| items.get(at)).into_iter().collect()
        }
        (Step::All, Value::Array(items)) => items.iter().collect(),
        (Step::All, Value::Object(map)) => map.values().collect(),
        (Step::Filter(key, wanted), Value::Array(items)) => {
            items.iter().filter(|i| kinds::text(i, key) == *wanted).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::find;
    use serde_json::json;

    #[test]
    fn paths_find() {
        let v = json!({ "a": { "b.c": 1, "l": [{ "t": "x", "s": "1" }, { "t": "y", "s": "2" }] } });
        let cases = [
            (".a['b.c']", json!(1)),
            (".a.l[1].s", json!("2")),
            (".a.l[-1].s", json!("2")),
            (".a.l[*].s", json!("1 2")),
            (r#".a.l[?(@.t=="y")].s"#, json!("2")),
        ];
        for (path, want) in cases {
            assert_eq!(find(&v, path), Some(want), "{path}");
        }
        assert_eq!(find(&v, ".a.none"), None);
        assert_eq!(find(&v, ".a[?("), None);
    }
}
