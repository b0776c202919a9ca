//! A ruleset as `nft list` writes it (nft 1.0.6), except that elements stand one on a line in key
//! order: the kernel lists them in no order at all. The text can be loaded with `nft -f`, unless
//! it has a map of slots: their type is shown as the nearest one that nft knows, `mark`.

use std::fmt::{self, Display, Formatter, Write};

use ipnet::IpNet;

use super::stmt::Equal;
use super::{
    Base, Chain, ChainKind, DataType, Datum, Family, Field, Hook, Reject, Rule, Ruleset, Set, Stmt,
    Table, Target, Type, Value, Verdict, bits, priority,
};

/// The whole ruleset as text.
pub fn print(ruleset: &Ruleset) -> String {
    let mut out = String::new();
    for (id, table) in &ruleset.tables {
        let text = Scoped(id.family, table);
        let family = family_word(id.family);
        write!(out, "table {family} {} {{\n{text}}}\n", id.name)
            .expect("writing to a string cannot fail");
    }
    out
}

/// A part of a table together with the family that decides its words.
struct Scoped<'a, T>(Family, &'a T);

fn family_word(family: Family) -> &'static str {
    match family {
        Family::Ip => "ip",
        Family::Ip6 => "ip6",
    }
}

impl Display for Scoped<'_, Table> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (name, set) in &self.1.sets {
            write!(f, "{between}{}", NamedSet(self.0, name, set))?;
            between = "\n";
        }
        for (name, chain) in &self.1.chains {
            write!(f, "{between}\tchain {name} {{\n{}\t}}\n", Scoped(self.0, chain))?;
            between = "\n";
        }
        Ok(())
    }
}

struct NamedSet<'a>(Family, &'a str, &'a Set);

impl Display for NamedSet<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let NamedSet(family, name, set) = self;
        let word = if set.data == DataType::None { "set" } else { "map" };
        write!(f, "\t{word} {name} {{\n\t\ttype {}", types(*family, &set.key))?;
        match &set.data {
            DataType::None => {}
            DataType::Verdict => f.write_str(" : verdict")?,
            DataType::Values(data) => write!(f, " : {}", types(*family, data))?,
        }
        f.write_str("\n")?;
        if let Some(seconds) = set.timeout {
            writeln!(f, "\t\tsize {DYNAMIC_SIZE}\n\t\tflags dynamic,timeout")?;
            writeln!(f, "\t\ttimeout {}", Span(seconds))?;
        }
        elements(f, set)?;
        f.write_str("\t}\n")
    }
}

/// Capacity of a dynamic set: nft's own default.
pub const DYNAMIC_SIZE: u32 = 65535;

fn elements(f: &mut Formatter<'_>, set: &Set) -> fmt::Result {
    let mut lead = "\t\telements = { ";
    for (key, datum) in &set.elements {
        f.write_str(lead)?;
        joined(f, key)?;
        match datum {
            Datum::None => {}
            Datum::Verdict(verdict) => write!(f, " : {verdict}")?,
            Datum::Values(values) => {
                f.write_str(" : ")?;
                joined(f, values)?;
            }
        }
        lead = ",\n\t\t\t     ";
    }
    if set.elements.is_empty() { Ok(()) } else { f.write_str(" }\n") }
}

fn joined(f: &mut Formatter<'_>, values: &[Value]) -> fmt::Result {
    for (i, value) in values.iter().enumerate() {
        let dot = if i == 0 { "" } else { " . " };
        write!(f, "{dot}{value}")?;
    }
    Ok(())
}

fn types(family: Family, types: &[Type]) -> String {
    let words: Vec<&str> = types.iter().map(|t| type_word(family, *t)).collect();
    words.join(" . ")
}

fn type_word(family: Family, of: Type) -> &'static str {
    match (of, family) {
        (Type::Addr, Family::Ip) => "ipv4_addr",
        (Type::Addr, Family::Ip6) => "ipv6_addr",
        (Type::Proto, _) => "inet_proto",
        (Type::Port, _) => "inet_service",
        (Type::Iface, _) => "ifname",
        (Type::Slot, _) => "mark",
    }
}

/// Seconds in nft's notation: `3h`, `1d2h`, `90s` as `1m30s`.
struct Span(u64);

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for (unit, seconds) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
            if rest >= seconds {
                write!(f, "{}{unit}", rest / seconds)?;
                rest %= seconds;
            }
        }
        Ok(())
    }
}

impl Display for Scoped<'_, Chain> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(base) = self.1.base {
            writeln!(f, "\t\t{base}")?;
        }
        for rule in &self.1.rules {
            writeln!(f, "\t\t{}", Scoped(self.0, rule))?;
        }
        Ok(())
    }
}

impl Display for Base {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ChainKind::Filter => "filter",
            ChainKind::Nat => "nat",
        };
        let hook = match self.hook {
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
            Hook::Forward => "forward",
            Hook::Output => "output",
            Hook::Postrouting => "postrouting",
        };
        write!(f, "type {kind} hook {hook} priority {}; policy accept;", PriorityWord(self))
    }
}

struct PriorityWord<'a>(&'a Base);

impl Display for PriorityWord<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Base { hook, priority, .. } = *self.0;
        let named = PRIORITIES.iter().find(|(base, _, only)| {
            (priority - base).abs() <= 10 && only.is_none_or(|only| only == hook)
        });
        match named {
            None => write!(f, "{priority}"),
            Some((base, word, _)) if *base == priority => f.write_str(word),
            Some((base, word, _)) if *base < priority => write!(f, "{word} + {}", priority - base),
            Some((base, word, _)) => write!(f, "{word} - {}", base - priority),
        }
    }
}

/// Priorities with a name, and the only hook in which they have it.
const PRIORITIES: &[(i32, &str, Option<Hook>)] = &[
    (priority::RAW, "raw", None),
    (priority::MANGLE, "mangle", None),
    (priority::FILTER, "filter", None),
    (priority::DSTNAT, "dstnat", Some(Hook::Prerouting)),
    (priority::SRCNAT, "srcnat", Some(Hook::Postrouting)),
];

impl Display for Scoped<'_, Rule> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, stmt) in self.1.0.iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(f, "{space}{}", Scoped(self.0, stmt))?;
        }
        Ok(())
    }
}

impl Display for Scoped<'_, Stmt> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Scoped(family, stmt) = self;
        match stmt {
            Stmt::Compare { field, equal, value } => {
                write!(f, "{} {}", Scoped(*family, field), sense(*equal))?;
                compared(f, *field, value)
            }
            Stmt::InSet { fields, equal, set } => {
                write!(f, "{} {}@{set}", Fields(*family, fields), sense(*equal))
            }
            Stmt::Marked(bits) => write!(f, "meta mark & 0x{bits:08x} != 0x00000000"),
            Stmt::MarkOr(bits) => write!(f, "meta mark set meta mark | 0x{bits:08x}"),
            Stmt::MarkXor(bits) => write!(f, "meta mark set meta mark ^ 0x{bits:08x}"),
            Stmt::Update { set, fields } => {
                write!(f, "update @{set} {{ {} }}", Fields(*family, fields))
            }
            Stmt::Vmap { fields, map } => {
                write!(f, "{} vmap @{map}", Fields(*family, fields))
            }
            Stmt::RandomVerdict(verdicts) => {
                write!(f, "numgen random mod {} vmap ", verdicts.len())?;
                numbered(f, verdicts.iter())
            }
            Stmt::Verdict(verdict) => write!(f, "{verdict}"),
            Stmt::Reject(Reject::PortUnreachable) => f.write_str("reject"),
            Stmt::Reject(Reject::TcpReset) => f.write_str("reject with tcp reset"),
            Stmt::Dnat(target) => translation(f, *family, target),
            Stmt::Snat(addr, port) => write!(f, "snat to {}", AddrPort(*addr, *port)),
            Stmt::Masquerade => f.write_str("masquerade"),
            Stmt::MasqueradeRandom => f.write_str("masquerade fully-random"),
            Stmt::Comment(text) => write!(f, "comment \"{text}\""),
        }
    }
}

fn sense(equal: Equal) -> &'static str {
    match equal {
        Equal::Yes => "",
        Equal::No => "!= ",
    }
}

fn compared(f: &mut Formatter<'_>, field: Field, value: &Value) -> fmt::Result {
    match (field, value) {
        (Field::CtState, Value::Bits(word)) => bit_words(f, *word, STATES),
        (Field::CtStatus, Value::Bits(word)) => bit_words(f, *word, STATUSES),
        _ => write!(f, "{value}"),
    }
}

const STATES: &[(u32, &str)] = &[
    (bits::INVALID, "invalid"),
    (bits::ESTABLISHED, "established"),
    (bits::RELATED, "related"),
    (bits::NEW, "new"),
];

const STATUSES: &[(u32, &str)] = &[(bits::DNAT, "dnat")];

fn bit_words(f: &mut Formatter<'_>, word: u32, names: &[(u32, &str)]) -> fmt::Result {
    let set: Vec<&str> =
        names.iter().filter(|(bit, _)| word & bit != 0).map(|(_, name)| *name).collect();
    f.write_str(&set.join(","))
}

fn numbered<T: Display>(f: &mut Formatter<'_>, items: impl Iterator<Item = T>) -> fmt::Result {
    let mut lead = "{ ";
    for (i, item) in items.enumerate() {
        write!(f, "{lead}{i} : {item}")?;
        lead = ", ";
    }
    f.write_str(" }")
}

fn translation(f: &mut Formatter<'_>, family: Family, target: &Target) -> fmt::Result {
    let word = family_word(family);
    match target {
        Target::Fixed(addr, port) => write!(f, "dnat to {}", AddrPort(*addr, *port)),
        Target::Random(list) => {
            write!(f, "dnat {word} to numgen random mod {} map ", list.len())?;
            numbered(f, list.iter().map(|(addr, port)| format!("{addr} . {port}")))
        }
        Target::Slots { first, count, map } => {
            write!(f, "dnat {word} to numgen random mod {count} offset {first} map @{map}")
        }
        Target::Map(fields, map) => {
            write!(f, "dnat {word} to {} map @{map}", Fields(family, fields))
        }
    }
}

struct AddrPort(std::net::IpAddr, Option<u16>);

impl Display for AddrPort {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (addr, None) => write!(f, "{addr}"),
            (addr, Some(port)) if addr.is_ipv6() => write!(f, "[{addr}]:{port}"),
            (addr, Some(port)) => write!(f, "{addr}:{port}"),
        }
    }
}

struct Fields<'a>(Family, &'a [Field]);

impl Display for Fields<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, field) in self.1.iter().enumerate() {
            let dot = if i == 0 { "" } else { " . " };
            write!(f, "{dot}{}", Scoped(self.0, field))?;
        }
        Ok(())
    }
}

impl Display for Scoped<'_, Field> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = family_word(self.0);
        match self.1 {
            Field::Saddr => write!(f, "{word} saddr"),
            Field::Daddr => write!(f, "{word} daddr"),
            Field::OriginalDaddr => write!(f, "ct original {word} daddr"),
            Field::L4proto => f.write_str("meta l4proto"),
            Field::Sport => f.write_str("th sport"),
            Field::Dport => f.write_str("th dport"),
            Field::Iifname => f.write_str("iifname"),
            Field::Oifname => f.write_str("oifname"),
            Field::FibSaddr => f.write_str("fib saddr type"),
            Field::FibDaddr => f.write_str("fib daddr type"),
            Field::CtState => f.write_str("ct state"),
            Field::CtStatus => f.write_str("ct status"),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Value::Addr(addr) => write!(f, "{addr}"),
            Value::Net(net) if is_host(net) => write!(f, "{}", net.addr()),
            Value::Net(net) => write!(f, "{}", net.trunc()),
            Value::Proto(proto) => write!(f, "{proto}"),
            Value::Port(port) => write!(f, "{port}"),
            Value::Slot(slot) => write!(f, "0x{slot:08x}"),
            Value::Iface(name) => write!(f, "\"{name}\""),
            Value::Bits(word) => write!(f, "0x{word:08x}"),
            Value::Local => f.write_str("local"),
        }
    }
}

fn is_host(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Accept => f.write_str("accept"),
            Verdict::Drop => f.write_str("drop"),
            Verdict::Return => f.write_str("return"),
            Verdict::Jump(chain) => write!(f, "jump {chain}"),
            Verdict::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}
