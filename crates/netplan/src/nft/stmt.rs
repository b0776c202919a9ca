//! Statements of a rule, and short constructors for them.

use std::net::IpAddr;

use super::Value;

/// What a packet is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Saddr,
    Daddr,
    /// Destination address before any translation.
    OriginalDaddr,
    L4proto,
    Sport,
    Dport,
    Iifname,
    Oifname,
    /// Whether the source is an address of this host.
    FibSaddr,
    /// Whether the destination is an address of this host.
    FibDaddr,
    CtState,
    CtStatus,
}

/// Where evaluation goes on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Accept,
    Drop,
    Return,
    Jump(String),
    Goto(String),
}

/// How a refused packet is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// ICMP port unreachable of the table's family.
    PortUnreachable,
    /// TCP reset; the rule must have matched TCP before.
    TcpReset,
}

/// Where a destination translation leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One address, and a port unless the port stays.
    Fixed(IpAddr, Option<u16>),
    /// One of several, evenly at random.
    Random(Vec<(IpAddr, u16)>),
    /// One of `count` elements of a map from slots to `address . port`, evenly at random: those
    /// of the slots from `first`. Unlike a list in the rule, its elements can be changed alone,
    /// and many rules share one map: the kernel takes quadratic time for many nameless ones.
    Slots { first: u32, count: u32, map: String },
    /// Looked up in a map to `address . port`; no match means that the rule does not apply.
    Map(Vec<Field>, String),
}

/// One statement. A rule goes on to the next while they match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stmt {
    /// Compares a field with a constant.
    Compare {
        field: Field,
        equal: Equal,
        value: Value,
    },
    /// Whether the fields are (not) an element of a named set.
    InSet {
        fields: Vec<Field>,
        equal: Equal,
        set: String,
    },
    /// Whether any of these bits is set in the packet mark.
    Marked(u32),
    /// Sets bits of the packet mark.
    MarkOr(u32),
    /// Flips bits of the packet mark.
    MarkXor(u32),
    /// Puts the fields into a dynamic set, or renews its time there.
    Update {
        set: String,
        fields: Vec<Field>,
    },
    /// Goes on where a named verdict map says; no match means that the rule does not apply.
    Vmap {
        fields: Vec<Field>,
        map: String,
    },
    /// Goes on with one of the verdicts, evenly at random.
    RandomVerdict(Vec<Verdict>),
    Verdict(Verdict),
    Reject(Reject),
    Dnat(Target),
    Snat(IpAddr, Option<u16>),
    Masquerade,
    /// Masquerade with ports chosen at random.
    MasqueradeRandom,
    /// At most 120 bytes, no quotes.
    Comment(String),
}

/// Sense of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Equal {
    Yes,
    No,
}

/// Statements in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule(pub Vec<Stmt>);

impl<const N: usize> From<[Stmt; N]> for Rule {
    fn from(stmts: [Stmt; N]) -> Rule {
        Rule(stmts.into())
    }
}

impl From<Vec<Stmt>> for Rule {
    fn from(stmts: Vec<Stmt>) -> Rule {
        Rule(stmts)
    }
}

/// `field value`
pub fn eq<V: Into<Value>>(field: Field, value: V) -> Stmt {
    Stmt::Compare { field, equal: Equal::Yes, value: value.into() }
}

/// `field != value`
pub fn ne<V: Into<Value>>(field: Field, value: V) -> Stmt {
    Stmt::Compare { field, equal: Equal::No, value: value.into() }
}

/// `fields @set`
pub fn in_set(fields: &[Field], set: &str) -> Stmt {
    Stmt::InSet { fields: fields.to_vec(), equal: Equal::Yes, set: set.to_string() }
}

/// `fields vmap @map`
pub fn vmap(fields: &[Field], map: &str) -> Stmt {
    Stmt::Vmap { fields: fields.to_vec(), map: map.to_string() }
}

pub fn jump(chain: &str) -> Stmt {
    Stmt::Verdict(Verdict::Jump(chain.to_string()))
}

pub fn goto(chain: &str) -> Stmt {
    Stmt::Verdict(Verdict::Goto(chain.to_string()))
}

pub fn accept() -> Stmt {
    Stmt::Verdict(Verdict::Accept)
}

pub fn drop() -> Stmt {
    Stmt::Verdict(Verdict::Drop)
}

pub fn reject() -> Stmt {
    Stmt::Reject(Reject::PortUnreachable)
}

pub fn masquerade() -> Stmt {
    Stmt::Masquerade
}

pub fn dnat(target: Target) -> Stmt {
    Stmt::Dnat(target)
}

/// Sets bits of the packet mark.
pub fn mark_or(bits: u32) -> Stmt {
    Stmt::MarkOr(bits)
}

/// Whether any of these bits of the packet mark is set.
pub fn marked(bits: u32) -> Stmt {
    Stmt::Marked(bits)
}
