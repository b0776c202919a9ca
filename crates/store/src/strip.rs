//! JSON without `metadata.managedFields`: half of an object's bytes, which no brain reads.

use std::borrow::Cow;

/// `json` is canonical: keys sorted, no blanks. Anything unexpected is handed back as it is.
pub(crate) fn without_managed_fields(json: &[u8]) -> Cow<'_, [u8]> {
    let found = member(json, 0, b"\"metadata\"")
        .filter(|metadata| json.get(metadata.value) == Some(&b'{'))
        .and_then(|metadata| member(json, metadata.value, b"\"managedFields\""));
    let Some(found) = found else { return Cow::Borrowed(json) };
    // The member goes with the comma after it, or else with the one before it.
    let (mut from, mut to) = (found.key, found.end);
    if json.get(to) == Some(&b',') {
        to += 1;
    } else if from > 0 && json[from - 1] == b',' {
        from -= 1;
    }
    Cow::Owned([&json[..from], &json[to..]].concat())
}

/// Where a member of an object is: its key, its value, and the end of the value.
struct Member {
    key: usize,
    value: usize,
    end: usize,
}

/// The member called `name` (with its quotes) of the object that begins at `open`.
fn member(json: &[u8], open: usize, name: &[u8]) -> Option<Member> {
    let mut key = open + 1;
    while json.get(key) == Some(&b'"') {
        let after = skip_text(json, key)?;
        let value = after + 1;
        let end = skip(json, value)?;
        if json[key..after] == *name {
            return Some(Member { key, value, end });
        }
        key = end + 1;
    }
    None
}

/// The end of the value at `at`.
fn skip(json: &[u8], at: usize) -> Option<usize> {
    match json.get(at)? {
        b'"' => skip_text(json, at),
        b'{' | b'[' => skip_nested(json, at),
        _ => {
            let length = json[at..].iter().position(|b| matches!(b, b',' | b'}' | b']'))?;
            Some(at + length)
        }
    }
}

fn skip_nested(json: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    loop {
        match json.get(at)? {
            b'"' => {
                at = skip_text(json, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

fn skip_text(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += 1;
        match json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn stripped(value: &Value) -> Value {
        let bytes = value.to_string().into_bytes();
        serde_json::from_slice(&without_managed_fields(&bytes)).expect("JSON stays JSON")
    }

    #[test]
    fn only_the_objects_own_field_goes() {
        let managed = json!([{ "manager": "a\\\"}]", "fieldsV1": { "f:x": {} } }]);
        let inner = json!({ "metadata": { "managedFields": managed, "name": "t" } });
        for metadata in [
            json!({}),
            json!({ "name": "n" }),
            json!({ "annotations": { "a": "\"managedFields\":[" }, "name": "n" }),
        ] {
            let without = json!({ "apiVersion": "v1", "data": { "managedFields": "x" }, "kind": "K",
                "metadata": metadata, "spec": { "template": inner } });
            let mut with = without.clone();
            with["metadata"]["managedFields"] = managed.clone();
            assert_eq!(stripped(&with), without);
            assert_eq!(stripped(&without), without);
        }
    }

    proptest! {
        #[test]
        fn anything_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = without_managed_fields(&bytes);
        }

        #[test]
        fn broken_json_is_survived(cut in 0usize..80) {
            let text = br#"{"a":[1,{"b":"\\\""}],"metadata":{"a":1,"managedFields":[{}],"name":"x"},"z":null}"#;
            let _ = without_managed_fields(&text[..cut.min(text.len())]);
        }
    }
}
