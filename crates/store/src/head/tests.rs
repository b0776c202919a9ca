//! What is written is read back; what is not written is not read.

use super::{decode, encode};
use crate::intern::Pool;
use crate::object::{Head, Owner};
use meta::Time;
use proptest::prelude::*;
use std::sync::Arc;

fn pairs() -> impl Strategy<Value = Box<[(Arc<str>, Arc<str>)]>> {
    let pair = (".{0,9}", ".{0,9}").prop_map(|(key, value)| (key.into(), value.into()));
    prop::collection::vec(pair, 0..4).prop_map(Into::into)
}

fn head() -> impl Strategy<Value = Head> {
    let owner =
        (".{0,9}", any::<bool>(), any::<bool>()).prop_map(|(text, controller, blocks)| Owner {
            uid: text.as_str().into(),
            api_version: "apps/v1".into(),
            kind: text.into(),
            name: "n".into(),
            controller,
            blocks,
        });
    let owners = prop::collection::vec(owner, 0..3);
    let times = (any::<i64>(), any::<Option<i64>>(), any::<i64>());
    let finalizers = prop::collection::vec(".{0,9}", 0..3);
    (".{0,9}", times, pairs(), pairs(), owners, finalizers).prop_map(
        |(uid, (created, deleted, generation), labels, fields, owners, finalizers)| Head {
            uid: uid.into(),
            generation,
            created: Time(created),
            deleted: deleted.map(Time),
            labels,
            owners: owners.into(),
            finalizers: finalizers.into_iter().map(Into::into).collect(),
            fields,
        },
    )
}

proptest! {
    #[test]
    fn round_trip(head in head(), version in any::<u32>(), at in any::<u32>()) {
        let bytes = encode(version, at, &head);
        let pool = &mut Pool::default();
        prop_assert_eq!(decode(version, &bytes, pool), Some((at, Some(head))));
        prop_assert_eq!(decode(version.wrapping_add(1), &bytes, pool), Some((at, None)));
        for cut in 0..bytes.len() {
            prop_assert_eq!(decode(version, &bytes[..cut], pool), None);
        }
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode(1, &bytes, &mut Pool::default());
    }
}
