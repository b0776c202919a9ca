//! Sets of field paths: who owns what, as a tree.
//!
//! The algebra of sigs.k8s.io/structured-merge-diff `fieldpath/set.go` and `element.go`.

use meta::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// One step from a value into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A field of a struct or a key of a map: `f:name`.
    Field(String),
    /// An item of a list with keys: `k:{"name":"x"}`; sorted by key name.
    Key(Vec<(String, Value)>),
    /// An item of a set: `v:"x"`.
    Item(Value),
    /// An item by position: `i:0`.
    Index(usize),
}

/// A set of paths. A node that is a member may have children that are members too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: BTreeMap<Step, Node>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    member: bool,
    below: FieldSet,
}

impl Step {
    const fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Item(_) => 2,
            Self::Index(_) => 3,
        }
    }

    /// As conflicts print it: `.spec`, `[name="x"]`, `[="x"]`, `[0]`.
    pub fn shown(&self) -> String {
        match self {
            Self::Field(name) => format!(".{name}"),
            Self::Key(keys) => {
                let all: Vec<_> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("[{}]", all.join(","))
            }
            Self::Item(value) => format!("[={value}]"),
            Self::Index(at) => format!("[{at}]"),
        }
    }
}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Step {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => compare_keys(a, b),
            (Self::Item(a), Self::Item(b)) => compare_values(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

fn compare_keys(a: &[(String, Value)], b: &[(String, Value)]) -> Ordering {
    for ((ka, va), (kb, vb)) in a.iter().zip(b) {
        let order = ka.cmp(kb).then_with(|| compare_values(va, vb));
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// A total order over JSON values: numbers by size, everything else by kind and then by text.
fn compare_values(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(x), Some(y)) => x.total_cmp(&y),
        _ => value_rank(a).cmp(&value_rank(b)).then_with(|| match (a.as_str(), b.as_str()) {
            (Some(x), Some(y)) => x.cmp(y),
            _ => a.to_string().cmp(&b.to_string()),
        }),
    }
}

const fn value_rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

impl FieldSet {
    pub fn is_empty(&self) -> bool {
        self.nodes.values().all(|node| !node.member && node.below.is_empty())
    }

    pub fn insert(&mut self, path: &[Step]) {
        if let [last] = path {
            self.node(last).member = true;
        } else if let [first, rest @ ..] = path {
            self.node(first).below.insert(rest);
        }
    }

    fn node(&mut self, step: &Step) -> &mut Node {
        self.nodes.entry(step.clone()).or_default()
    }

    pub(crate) fn insert_here(&mut self, step: Step) {
        self.nodes.entry(step).or_default().member = true;
    }

    pub(crate) fn below_mut(&mut self, step: Step) -> &mut FieldSet {
        &mut self.nodes.entry(step).or_default().below
    }

    pub fn contains(&self, path: &[Step]) -> bool {
        match path {
            [] => false,
            [last] => self.is_member(last),
            [first, rest @ ..] => self.below(first).is_some_and(|set| set.contains(rest)),
        }
    }

    /// Whether `step` itself, not only something below it, is in the set.
    pub fn is_member(&self, step: &Step) -> bool {
        self.nodes.get(step).is_some_and(|node| node.member)
    }

    pub fn below(&self, step: &Step) -> Option<&FieldSet> {
        self.nodes.get(step).map(|node| &node.below)
    }

    /// Steps at this level, each with whether it is a member and what lies below.
    pub fn steps(&self) -> impl Iterator<Item = (&Step, bool, &FieldSet)> {
        self.nodes.iter().map(|(step, node)| (step, node.member, &node.below))
    }

    pub fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        for (step, node) in &other.nodes {
            let mine = out.nodes.entry(step.clone()).or_default();
            mine.member |= node.member;
            mine.below = mine.below.union(&node.below);
        }
        out
    }

    /// Paths in `self` that are not members of `other`; paths below a member of `other` stay.
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| mine && !theirs, Self::difference)
    }

    pub fn intersection(&self, other: &Self) -> Self {
        let both = self.nodes.iter().filter_map(|(step, node)| {
            let theirs = other.nodes.get(step)?;
            let kept = Node {
                member: node.member && theirs.member,
                below: node.below.intersection(&theirs.below),
            };
            (kept.member || !kept.below.nodes.is_empty()).then(|| (step.clone(), kept))
        });
        Self { nodes: both.collect() }
    }

    /// As `difference`, and everything below a member of `other` goes too.
    pub fn recursive_difference(&self, other: &Self) -> Self {
        let nodes = self.nodes.iter().filter_map(|(step, node)| match other.nodes.get(step) {
            Some(theirs) if theirs.member => None,
            Some(theirs) => {
                let below = node.below.recursive_difference(&theirs.below);
                (node.member || !below.nodes.is_empty())
                    .then(|| (step.clone(), Node { member: node.member, below }))
            }
            None => Some((step.clone(), node.clone())),
        });
        Self { nodes: nodes.collect() }
    }

    fn combine(
        &self,
        other: &Self,
        member: fn(bool, bool) -> bool,
        below: fn(&Self, &Self) -> Self,
    ) -> Self {
        let none = Node::default();
        let nodes = self.nodes.iter().filter_map(|(step, node)| {
            let theirs = other.nodes.get(step).unwrap_or(&none);
            let kept = Node {
                member: member(node.member, theirs.member),
                below: below(&node.below, &theirs.below),
            };
            (kept.member || !kept.below.nodes.is_empty()).then(|| (step.clone(), kept))
        });
        Self { nodes: nodes.collect() }
    }

    /// Every member as conflicts print it: `.spec.containers[name="x"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect("", &mut out);
        out
    }

    fn collect(&self, prefix: &str, out: &mut Vec<String>) {
        for (step, node) in &self.nodes {
            let here = format!("{prefix}{}", step.shown());
            if node.member {
                out.push(here.clone());
            }
            node.below.collect(&here, out);
        }
    }
}
