//! Snapshots for tests.

use meta::{Resource, Value};
use store::{Draft, Expect, Head, Heads, Key, Op, Options, Store, Txn, View, Volatile};

/// A snapshot with these objects: `(resource, object)`.
pub fn view(objects: &[(&str, Value)]) -> View {
    let heads = Heads { version: 1, parse: |_, _| Head::default() };
    let store = Store::inline(Box::new(Volatile), Options::new(heads)).expect("an empty log");
    for (resource, value) in objects {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        let text = |at: &str| value.pointer(at).and_then(Value::as_str).unwrap_or("");
        let key = Key::new(
            &Resource::new(group, plural),
            text("/metadata/namespace"),
            text("/metadata/name"),
        );
        let labels = value.pointer("/metadata/labels").and_then(Value::as_object);
        let labels = labels.into_iter().flatten();
        let node = value.pointer("/spec/nodeName").and_then(Value::as_str);
        let head = Head {
            uid: text("/metadata/uid").into(),
            labels: labels
                .map(|(k, v)| (k.as_str().into(), v.as_str().unwrap_or("").into()))
                .collect(),
            fields: node.map(|n| ("spec.nodeName".into(), n.into())).into_iter().collect(),
            ..Head::default()
        };
        let draft = Draft::new(key, head, value.clone());
        let ops = vec![Op::Put { draft, expect: Expect::Absent }];
        store.commit(Txn { ops }).expect("distinct names");
    }
    store.view()
}
