//! Sets of completion indexes and their text, `0-3,5,7-9` (indexed_job_utils.go).

use crate::calls;
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeSet;

pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Indexes(pub BTreeSet<i32>);

impl Indexes {
    /// What is not an index below `completions` is left out.
    pub fn parse(text: &str, completions: i32) -> Self {
        let mut all = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Ok(first), Ok(last)) = (first.parse::<i32>(), last.parse::<i32>()) else {
                continue;
            };
            all.extend(first.max(0)..=last.min(completions.saturating_sub(1)));
        }
        Self(all)
    }

    pub fn has(&self, index: i32) -> bool {
        self.0.contains(&index)
    }

    pub fn count(&self) -> i32 {
        i32::try_from(self.0.len()).unwrap_or(i32::MAX)
    }

    /// Runs of two are written as two, longer ones as a range.
    pub fn text(&self) -> String {
        let mut runs: Vec<(i32, i32)> = Vec::new();
        for index in &self.0 {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == *index => *last = *index,
                _ => runs.push((*index, *index)),
            }
        }
        let each = runs.iter().map(|(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first},{last}"),
            _ => format!("{first}-{last}"),
        });
        each.collect::<Vec<_>>().join(",")
    }
}

/// The index of a pod, when it is one below `completions`.
pub(super) fn of(pod: &Pod, completions: i32) -> Option<i32> {
    let text = calls::annotation(&pod.metadata, INDEX)?;
    text.parse().ok().filter(|index| (0..completions).contains(index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts() {
        let text = |list: &[i32]| Indexes(list.iter().copied().collect()).text();
        assert_eq!(text(&[]), "");
        assert_eq!(text(&[4]), "4");
        assert_eq!(text(&[0, 1, 2, 3, 5, 7, 8]), "0-3,5,7,8");
        let hostile = "x,-,3-1,9-,2147483647-2147483647,1-99999999999,0-2";
        assert_eq!(Indexes::parse(hostile, 5).text(), "0-2");
    }

    proptest! {
        #[test]
        fn round_trip(all in proptest::collection::btree_set(0..50, 0..20)) {
            let set = Indexes(all);
            prop_assert_eq!(&Indexes::parse(&set.text(), 50), &set);
        }
    }
}
