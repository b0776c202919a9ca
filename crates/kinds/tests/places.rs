//! Adding a data-only kind touches two places: its row and the table. Shown by kinds that have nothing else: no
//! other source file of the product names them, by constant, plural or kind.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// `(constant of the row, plural, kind)` of kinds that are data alone.
const DATA_ONLY: &[(&str, &str, &str)] = &[
    ("CSI_DRIVER", "\"csidrivers\"", "\"CSIDriver\""),
    ("CSI_STORAGE_CAPACITY", "\"csistoragecapacities\"", "\"CSIStorageCapacity\""),
];

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn a_data_only_kind_is_a_row_and_a_line_in_the_table() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(crates).unwrap() {
        let src = entry.unwrap().path().join("src");
        if src.is_dir() {
            sources(&src, &mut files);
        }
    }
    let table = crates.join("kinds/src/lib.rs");
    for (constant, plural, kind) in DATA_ONLY {
        let names = |file: &&PathBuf| {
            let text = std::fs::read_to_string(file).unwrap();
            [constant, plural, kind].iter().any(|word| text.contains(**word))
        };
        let mut found: Vec<_> = files.iter().filter(names).collect();
        found.sort();
        assert_eq!(found.len(), 2, "{constant} is named in {found:?}");
        assert!(found.contains(&&table), "{constant} is not in the table");
        let rows = kinds::TABLE.iter().filter(|row| format!("{:?}", row.plural) == *plural);
        assert_eq!(rows.count(), 1, "{plural}");
    }
}
