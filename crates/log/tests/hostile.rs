//! Files that are not what was written: never a panic, never a wrong answer.
#![allow(clippy::unwrap_used)]

mod common;

use common::{dump, key, open, put, write};
use log::{Disk, Keys, SimDisk};
use proptest::prelude::*;
use std::io::Read;
use store::Txn;

const LARGE: u64 = 1 << 30;

/// A snapshot of 10 pods, and 10 transactions after it; the dumps after each of those.
fn filled() -> (SimDisk, Vec<Vec<String>>) {
    let disk = SimDisk::new(11);
    let store = open(&disk, LARGE).unwrap();
    for i in 0..10 {
        write(&store, &format!("p{i}"), &"x".repeat(100 * i)).unwrap();
    }
    store.snapshot().unwrap();
    let mut dumps = vec![dump(&store.view())];
    for i in 0..10 {
        let pair =
            ["pods", "secrets"].map(|of| put(key(of, &format!("q{i}")), &"y".repeat(90 * i)));
        store.commit(Txn { ops: pair.into() }).unwrap();
        dumps.push(dump(&store.view()));
    }
    (disk, dumps)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn changed_files_are_refused_or_read_as_they_were(
        which in 0..2usize,
        at in 0..14_000usize,
        bytes in prop::collection::vec(any::<u8>(), 1..700),
        cut in any::<bool>(),
    ) {
        let (disk, dumps) = filled();
        let mut names = disk.names().unwrap();
        names.retain(|name| name.starts_with("log-") || name.starts_with("snapshot-"));
        if cut { disk.truncate(&names[which], at) } else { disk.overwrite(&names[which], at, &bytes) }
        match open(&disk, LARGE) {
            Ok(store) => {
                // Padding and the space after the last record do not matter. A cut exactly between two
                // records cannot be told from a shorter log.
                let found = dump(&store.view());
                let shorter = cut && which == 0 && dumps.contains(&found);
                prop_assert!(shorter || dumps.last() == Some(&found));
            }
            Err(error) => {
                prop_assert!(!error.transient);
                prop_assert!(error.message.contains(&names[which]), "{}", error.message);
            }
        }
    }

    #[test]
    fn any_bytes_as_a_backup(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(log::verify("b", &*bytes, &Keys::generate().unwrap()).is_err());
    }

    #[test]
    fn any_text_as_a_key_file(text in ".*", id in any::<u32>(), hex in "[0-9a-g]{62,66}") {
        prop_assert!(Keys::parse(&text).is_err());
        let good = hex.len() == 64 && !hex.contains('g');
        prop_assert_eq!(Keys::parse(&format!("boxship-keys 1\n{id} {hex}\n")).is_ok(), good);
    }
}

#[test]
fn zeros_in_the_last_record_are_a_torn_write_and_nothing_else_is() {
    let (disk, dumps) = filled();
    let name = disk.names().unwrap().into_iter().find(|name| name.starts_with("log-")).unwrap();
    let mut file = Vec::new();
    disk.read(&name, 0).unwrap().read_to_end(&mut file).unwrap();
    let end = file.iter().rposition(|byte| *byte != 0).unwrap();
    let sector = end / 512 * 512;
    disk.overwrite(&name, sector, &vec![0; end + 1 - sector]);
    let store = open(&disk, LARGE).unwrap();
    assert_eq!(dumps[9], dump(&store.view()));
}
