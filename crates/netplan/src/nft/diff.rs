//! What turns one ruleset into another, in the order a single transaction wants it.
//!
//! A chain whose rules differ is emptied and refilled; sets keep the elements both sides have,
//! and a dynamic set keeps what packets put there. When the definition of a base chain or of a
//! set changes, its whole table is made anew: the transaction is atomic, so no packet sees it.

use std::collections::BTreeMap;

use super::{Chain, Datum, Rule, Ruleset, Set, Table, TableId, Value};

/// One step of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Change<'a> {
    AddTable(&'a TableId),
    DelTable(&'a TableId),
    AddSet(&'a TableId, &'a str, &'a Set),
    DelSet(&'a TableId, &'a str),
    AddChain(&'a TableId, &'a str, &'a Chain),
    DelChain(&'a TableId, &'a str),
    /// Removes all rules of a chain.
    Flush(&'a TableId, &'a str),
    AddRule(&'a TableId, &'a str, &'a Rule),
    AddElements(&'a TableId, &'a str, &'a Set, Vec<(&'a [Value], &'a Datum)>),
    DelElements(&'a TableId, &'a str, &'a Set, Vec<(&'a [Value], &'a Datum)>),
}

/// The steps from `old` to `new`; none when they are equal.
pub fn diff<'a>(old: &'a Ruleset, new: &'a Ruleset) -> Vec<Change<'a>> {
    let mut steps = Vec::new();
    for id in old.tables.keys().filter(|id| !new.tables.contains_key(id)) {
        steps.push(Change::DelTable(id));
    }
    for (id, table) in &new.tables {
        match old.tables.get(id) {
            Some(before) if before == table => {}
            Some(before) if same_definitions(before, table) => {
                steps.extend(Step { id, old: before, new: table }.changes());
            }
            Some(_) => {
                steps.push(Change::DelTable(id));
                whole(&mut steps, id, table);
            }
            None => whole(&mut steps, id, table),
        }
    }
    steps
}

fn same_definitions(old: &Table, new: &Table) -> bool {
    let sets = new.sets.iter().all(|(n, s)| old.sets.get(n).is_none_or(|o| o.same_shape(s)));
    let chains = new.chains.iter().all(|(n, c)| old.chains.get(n).is_none_or(|o| o.base == c.base));
    sets && chains
}

static EMPTY: Table = Table { sets: BTreeMap::new(), chains: BTreeMap::new() };

fn whole<'a>(steps: &mut Vec<Change<'a>>, id: &'a TableId, table: &'a Table) {
    steps.push(Change::AddTable(id));
    steps.extend(Step { id, old: &EMPTY, new: table }.changes());
}

struct Step<'a> {
    id: &'a TableId,
    old: &'a Table,
    new: &'a Table,
}

impl<'a> Step<'a> {
    /// References go before what they refer to, and come after it.
    fn changes(&self) -> Vec<Change<'a>> {
        let mut steps = self.flushed();
        steps.extend(self.elements_gone());
        let (old, new) = (self.old, self.new);
        let gone = old.chains.keys().filter(|name| !new.chains.contains_key(*name));
        steps.extend(gone.map(|name| Change::DelChain(self.id, name)));
        let gone = old.sets.keys().filter(|name| !new.sets.contains_key(*name));
        steps.extend(gone.map(|name| Change::DelSet(self.id, name)));
        let come = new.sets.iter().filter(|(name, _)| !old.sets.contains_key(*name));
        steps.extend(come.map(|(name, set)| Change::AddSet(self.id, name, set)));
        let come = new.chains.iter().filter(|(name, _)| !old.chains.contains_key(*name));
        steps.extend(come.map(|(name, chain)| Change::AddChain(self.id, name, chain)));
        // The kernel walks a map for each rule that comes to use it: while it is still empty.
        steps.extend(self.filled());
        steps.extend(self.elements_come());
        steps
    }

    fn flushed(&self) -> Vec<Change<'a>> {
        let stale = |(name, chain): &(&'a String, &'a Chain)| {
            !chain.rules.is_empty()
                && self.new.chains.get(*name).is_none_or(|n| n.rules != chain.rules)
        };
        let chains = self.old.chains.iter().filter(stale);
        chains.map(|(name, _)| Change::Flush(self.id, name)).collect()
    }

    fn filled(&self) -> Vec<Change<'a>> {
        let fresh = |(name, chain): &(&'a String, &'a Chain)| {
            self.old.chains.get(*name).is_none_or(|o| o.rules != chain.rules)
        };
        let chains = self.new.chains.iter().filter(fresh);
        chains
            .flat_map(|(name, chain)| {
                chain.rules.iter().map(move |rule| Change::AddRule(self.id, name, rule))
            })
            .collect()
    }

    fn elements_gone(&self) -> Vec<Change<'a>> {
        let step = |(name, set): (&'a String, &'a Set)| {
            let less = missing(set, self.new.sets.get(name));
            (!less.is_empty()).then_some(Change::DelElements(self.id, name, set, less))
        };
        self.old.sets.iter().filter_map(step).collect()
    }

    fn elements_come(&self) -> Vec<Change<'a>> {
        let step = |(name, set): (&'a String, &'a Set)| {
            let more = missing(set, self.old.sets.get(name));
            (!more.is_empty()).then_some(Change::AddElements(self.id, name, set, more))
        };
        self.new.sets.iter().filter_map(step).collect()
    }
}

/// Elements of `set` that `other` lacks or maps to something else.
fn missing<'a>(set: &'a Set, other: Option<&Set>) -> Vec<(&'a [Value], &'a Datum)> {
    let has = |key: &Vec<Value>, datum: &Datum| {
        other.and_then(|o| o.elements.get(key)).is_some_and(|d| d == datum)
    };
    let elements = set.elements.iter().filter(|(key, datum)| !has(key, datum));
    elements.map(|(key, datum)| (key.as_slice(), datum)).collect()
}
