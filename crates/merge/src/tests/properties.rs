//! Laws that hold for every object.

use super::{Desk, config_map};
use crate::{Force, decode_fields, encode_fields};
use meta::Value;
use proptest::prelude::*;
use serde_json::json;

fn data() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[a-d]", "[01]", 0..4)
        .prop_map(|map| map.into_iter().map(|(k, v)| (k, v.into())).collect::<meta::Map>().into())
}

/// What managers do: their name, whether they apply, and the data.
fn writes() -> impl Strategy<Value = Vec<(&'static str, bool, Value)>> {
    let who = prop_oneof![Just("x"), Just("y"), Just("z")];
    proptest::collection::vec((who, any::<bool>(), data()), 1..12)
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[.$/~:a-c{}\\[\\]\"]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(
                "(\\$patch|\\$retainKeys|[a-c]|[fkvi]:.{0,4}|\\.)",
                inner,
                0..4
            )
            .prop_map(|map| map.into_iter().collect::<meta::Map>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn a_forced_apply_sets_what_it_says_and_owns_exactly_that(all in writes(), last in data()) {
        let mut desk = Desk::new("v1", "ConfigMap");
        desk.update("x", config_map(json!({})));
        for (who, applies, data) in all {
            match applies {
                true => desk.try_apply(who, config_map(data), Force::Yes).unwrap(),
                false => desk.update(who, config_map(data)),
            }
        }
        desk.try_apply("x", config_map(last.clone()), Force::Yes).unwrap();
        for (key, value) in last.as_object().unwrap() {
            prop_assert_eq!(&desk.live()["data"][key], value);
        }
        let mine: Vec<_> = desk.owners().into_iter().filter(|o| o.starts_with("x Apply")).collect();
        let keys: Vec<_> = last.as_object().unwrap().keys().map(|k| format!(".data.{k}")).collect();
        let want = if keys.is_empty() { ".data".into() } else { keys.join(" ") };
        prop_assert_eq!(mine, vec![format!("x Apply: {want}")]);
        // An emptied map is gone when it comes back, while someone may still own it: `{}` can conflict then.
        if !keys.is_empty() {
            let before = desk.bare();
            desk.apply("x", config_map(last));
            prop_assert_eq!(desk.bare(), before);
        }
    }

    #[test]
    fn nobody_owns_what_is_not_there(all in writes()) {
        let mut desk = Desk::new("v1", "ConfigMap");
        for (who, applies, data) in all {
            match applies {
                true => desk.try_apply(who, config_map(data), Force::Yes).unwrap(),
                false => desk.update(who, config_map(data)),
            }
            for owner in desk.owners() {
                let (_, paths) = owner.split_once(": ").unwrap();
                for key in paths.split(' ').filter_map(|p| p.strip_prefix(".data.")) {
                    prop_assert!(desk.live()["data"].get(key).is_some(), "{} {:?}", key, desk.live());
                }
            }
        }
    }

    #[test]
    fn field_sets_survive_being_written_down(value in json_value()) {
        if let Ok(set) = decode_fields(&value) {
            let written = encode_fields(&set);
            prop_assert_eq!(encode_fields(&decode_fields(&written).unwrap()), written);
        }
    }

    #[test]
    fn no_input_makes_a_patch_panic(old in json_value(), new in json_value()) {
        let ty = super::type_of("v1", "Pod");
        let at = crate::At(Some(&ty));
        let (old, new) = (json!({ "metadata": {}, "spec": old }), json!({ "spec": new }));
        drop(crate::strategic(&old, &new, at));
        drop(crate::json_patch(&old, &new["spec"]));
        crate::merge_patch(&old, &new);
        let mut desk = Desk::new("v1", "Pod");
        desk.update("x", old.clone());
        let mut config = new;
        config["apiVersion"] = "v1".into();
        drop(desk.try_apply("y", config, Force::Yes));
        desk.update("z", old);
    }
}
