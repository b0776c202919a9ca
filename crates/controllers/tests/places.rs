//! A controller is a file and a line of the table: nothing else names it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path, out: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, out);
        } else {
            out.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_controller_is_in_the_table_and_nowhere_else() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    sources(&src, &mut all);
    let table = all.iter().find(|(path, _)| path.ends_with("table.rs")).unwrap().1.clone();
    let mut rows = 0;
    for line in table.lines().filter(|line| line.trim_start().starts_with("&crate::")) {
        rows += 1;
        let name = line.trim().trim_start_matches('&').trim_end_matches(',');
        let users = all.iter().filter(|(_, text)| text.contains(name)).count();
        assert_eq!(users, 1, "{name} is named outside the table");
    }
    let declared = all.iter().map(|(_, text)| text.matches("pub(crate) static ").count());
    let declared: usize = declared.sum();
    assert_eq!(rows, declared, "every row that is declared is in the table");
    assert_eq!(rows, controllers::TABLE.len());
}
