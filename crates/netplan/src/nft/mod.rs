//! A firewall ruleset as a value.
//!
//! Tables, chains, sets and rules at the level of the nft language: every statement has a textual
//! form ([`print`]) and a form for the kernel (the encoder in the crate `net`). What a ruleset
//! cannot say here, nobody needs yet. Maps are ordered, so equal rulesets print equally.

mod diff;
mod print;
mod stmt;
#[cfg(test)]
mod tests;

pub use diff::{Change, diff};
pub use print::{DYNAMIC_SIZE, print};
pub use stmt::{
    Equal, Field, Reject, Rule, Stmt, Target, Verdict, accept, dnat, drop, eq, goto, in_set, jump,
    mark_or, marked, masquerade, ne, reject, vmap,
};

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// Address family of a table; addresses inside a table are all of its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    Ip,
    Ip6,
}

impl Family {
    /// Both families, in the order in which rulesets print.
    pub const ALL: [Family; 2] = [Family::Ip, Family::Ip6];

    /// The family of an address.
    pub fn of(addr: IpAddr) -> Family {
        if addr.is_ipv4() { Family::Ip } else { Family::Ip6 }
    }

    /// The family of a subnet.
    pub fn of_net(net: &IpNet) -> Family {
        Family::of(net.addr())
    }
}

/// A transport protocol that can be published or load-balanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proto {
    Tcp,
    Udp,
    Sctp,
}

impl Proto {
    /// The IP protocol number.
    pub fn number(self) -> u8 {
        match self {
            Proto::Tcp => 6,
            Proto::Udp => 17,
            Proto::Sctp => 132,
        }
    }

    /// The lower-case name, as Docker and nft spell it.
    pub fn name(self) -> &'static str {
        match self {
            Proto::Tcp => "tcp",
            Proto::Udp => "udp",
            Proto::Sctp => "sctp",
        }
    }

    /// Parses a name in any case (Docker writes `tcp`, Kubernetes `TCP`).
    pub fn parse(name: &str) -> Option<Proto> {
        [Proto::Tcp, Proto::Udp, Proto::Sctp]
            .into_iter()
            .find(|p| p.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whole tables; what is not named here belongs to somebody else and is never touched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    pub tables: BTreeMap<TableId, Table>,
}

/// Name and family of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId {
    pub family: Family,
    pub name: String,
}

/// Sets and chains of one table by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    pub sets: BTreeMap<String, Set>,
    pub chains: BTreeMap<String, Chain>,
}

/// A chain: rules in order, and for a base chain the hook that runs them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    pub base: Option<Base>,
    pub rules: Vec<Rule>,
}

/// Where a base chain hooks in. The policy is always accept: what is not ours is the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    pub kind: ChainKind,
    pub hook: Hook,
    /// Lower runs earlier; see [`priority`].
    pub priority: i32,
}

/// Named priorities of the nft language.
pub mod priority {
    pub const RAW: i32 = -300;
    pub const MANGLE: i32 = -150;
    pub const DSTNAT: i32 = -100;
    pub const FILTER: i32 = 0;
    pub const SRCNAT: i32 = 100;
}

/// The type of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainKind {
    Filter,
    Nat,
}

/// The netfilter hook of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

/// A named set, map or verdict map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Types of the (concatenated) key.
    pub key: Vec<Type>,
    pub data: DataType,
    /// Seconds after which an element goes away. `Some` means that packets fill the set
    /// (`flags dynamic,timeout`); its elements are then the kernel's, not ours.
    pub timeout: Option<u64>,
    pub elements: BTreeMap<Vec<Value>, Datum>,
}

impl Set {
    /// A plain set of the given key.
    pub fn of(key: &[Type]) -> Set {
        Set::with(key, DataType::None)
    }

    /// A map to verdicts.
    pub fn verdicts(key: &[Type]) -> Set {
        Set::with(key, DataType::Verdict)
    }

    /// A map to values.
    pub fn map(key: &[Type], data: &[Type]) -> Set {
        Set::with(key, DataType::Values(data.to_vec()))
    }

    /// A set that packets fill and time empties.
    pub fn dynamic(key: &[Type], seconds: u64) -> Set {
        Set { timeout: Some(seconds), ..Set::of(key) }
    }

    fn with(key: &[Type], data: DataType) -> Set {
        Set { key: key.to_vec(), data, timeout: None, elements: BTreeMap::new() }
    }

    /// Whether two sets differ only in elements (then they can be changed in place).
    pub fn same_shape(&self, other: &Set) -> bool {
        (&self.key, &self.data, self.timeout) == (&other.key, &other.data, other.timeout)
    }
}

/// Type of one part of a key or of map data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    Addr,
    Proto,
    Port,
    Iface,
    /// A number of no further meaning.
    Slot,
}

/// What a set maps its keys to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataType {
    None,
    Verdict,
    Values(Vec<Type>),
}

/// Data of one element, of the set's [`DataType`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datum {
    None,
    Verdict(Verdict),
    Values(Vec<Value>),
}

/// A constant in a rule or an element.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Addr(IpAddr),
    /// Only in comparisons with an address.
    Net(IpNet),
    Proto(Proto),
    Port(u16),
    /// See [`Target::Slots`].
    Slot(u32),
    /// At most 15 bytes.
    Iface(String),
    /// One of the kernel's bit words: see [`bits`]. Compared as "any of these bits".
    Bits(u32),
    /// An address type of a fib lookup.
    Local,
}

/// Bits of `ct state` and `ct status`.
pub mod bits {
    pub const INVALID: u32 = 1;
    pub const ESTABLISHED: u32 = 2;
    pub const RELATED: u32 = 4;
    pub const NEW: u32 = 8;
    /// Of `ct status`: the destination of the connection was rewritten.
    pub const DNAT: u32 = 0x20;
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),*) => {$(
        impl From<$from> for Value {
            fn from(v: $from) -> Value {
                Value::$variant(v.into())
            }
        }
    )*};
}
value_from!(IpAddr => Addr, IpNet => Net, Proto => Proto, u16 => Port, &str => Iface, String => Iface);

impl Ruleset {
    /// The table of this name and family, created empty when absent.
    pub fn table(&mut self, family: Family, name: &str) -> &mut Table {
        self.tables.entry(TableId { family, name: name.to_string() }).or_default()
    }

    /// Puts the tables of `other` in; of equally named tables those of `other` win.
    pub fn extend(&mut self, other: Ruleset) {
        self.tables.extend(other.tables);
    }
}

impl Table {
    /// Adds a rule to a chain, creating a regular chain when absent.
    pub fn rule<R: Into<Rule>>(&mut self, chain: &str, rule: R) {
        self.chain(chain).rules.push(rule.into());
    }

    /// The chain of this name, created as a regular chain when absent.
    pub fn chain(&mut self, name: &str) -> &mut Chain {
        self.chains.entry(name.to_string()).or_default()
    }

    /// Declares a base chain.
    pub fn base(&mut self, name: &str, kind: ChainKind, hook: Hook, priority: i32) {
        self.chain(name).base = Some(Base { kind, hook, priority });
    }

    /// Declares a set; an existing one of the name is kept.
    pub fn set(&mut self, name: &str, set: Set) -> &mut Set {
        self.sets.entry(name.to_string()).or_insert(set)
    }

    /// Puts an element into a declared set. The first element of a key wins, so that a caller
    /// who goes through its input in a fixed order gets a fixed result.
    pub fn element(&mut self, set: &str, key: Vec<Value>, datum: Datum) {
        let set = self.sets.get_mut(set).expect("a set is declared before its elements");
        set.elements.entry(key).or_insert(datum);
    }
}
