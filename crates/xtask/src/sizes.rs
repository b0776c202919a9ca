//! `cargo xtask sizes`: how big files and functions are, crate by crate.

use crate::source;
use std::collections::BTreeMap;

#[derive(Default)]
struct Sizes {
    files: Vec<usize>,
    tests: usize,
    functions: Vec<usize>,
}

pub fn run(_: &[String]) -> Result<(), String> {
    let mut by_crate: BTreeMap<String, Sizes> = BTreeMap::new();
    for source in source::all()? {
        let lines = source.text.lines().count();
        for name in [source.crate_name().to_string(), "~ all".into()] {
            let sizes = by_crate.entry(name).or_default();
            if source.is_test() {
                sizes.tests += lines;
                continue;
            }
            sizes.files.push(source.product_lines());
            sizes.tests += lines - source.product_lines();
            sizes.functions.extend(source.functions().iter().map(|f| f.lines));
        }
    }
    println!(
        "{:<14} {:>6} {:>7} {:>6} {:>8} {:>8} {:>7} {:>7}",
        "crate", "files", "lines", "tests", "file med", "file max", "fn med", "fn > 70"
    );
    for (name, mut sizes) in by_crate {
        sizes.files.sort_unstable();
        sizes.functions.sort_unstable();
        println!(
            "{:<14} {:>6} {:>7} {:>6} {:>8} {:>8} {:>7} {:>7}",
            name,
            sizes.files.len(),
            sizes.files.iter().sum::<usize>(),
            sizes.tests,
            median(&sizes.files),
            sizes.files.last().unwrap_or(&0),
            median(&sizes.functions),
            sizes.functions.iter().filter(|lines| **lines > 70).count(),
        );
    }
    Ok(())
}

fn median(sorted: &[usize]) -> usize {
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}
