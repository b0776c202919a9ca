//! Readers forgive stale postings, so only this shows that none are left behind.

use super::Index;
use crate::object::{Head, Key};
use meta::Resource;

fn head(values: &[&str]) -> Head {
    let fields = values.iter().enumerate().map(|(i, v)| (i.to_string().into(), (*v).into()));
    Head { fields: fields.collect(), ..Head::default() }
}

#[test]
fn postings_go_with_their_terms() {
    let key = Key::new(&Resource::new("", "pods"), "ns", "p");
    let (first, second) = (head(&["a", "b", "c"]), head(&["a", "x"]));
    let mut index = Index::default();
    index.refile(&key, None, Some(&first));
    assert_eq!(index.postings.len(), 3);
    index.refile(&key, Some(&first), Some(&second));
    assert_eq!(index.postings.len(), 2);
    assert!(index.postings == Index::of([(&key, &second)].into_iter()).postings);
    index.refile(&key, Some(&second), None);
    assert!(index.postings.is_empty());
}
