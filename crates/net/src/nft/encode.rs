//! Changes of a ruleset as one netlink batch (`linux/netfilter/nf_tables.h`).

use netplan::nft::{
    Chain, ChainKind, Change, DataType, Datum, Family, Hook, Rule, Set, TableId, Type, Value,
    Verdict,
};

use super::expr;
use crate::Error;
use crate::netlink::{ACK, APPEND, CREATE, Message, Netlink};
use crate::rtnl::octets;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEWTABLE: u16 = 0;
pub(super) const GETTABLE: u16 = 1;
pub(super) const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const DELCHAIN: u16 = 5;
const NEWRULE: u16 = 6;
const DELRULE: u16 = 8;
const NEWSET: u16 = 9;
const DELSET: u16 = 11;
const NEWSETELEM: u16 = 12;
const DELSETELEM: u16 = 14;

pub(super) const LIST_ELEM: u16 = 1;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

/// Message type of an nftables request.
pub(super) fn kind(message: u16) -> u16 {
    SUBSYSTEM << 8 | message
}

pub(super) fn family_of(number: u8) -> Option<Family> {
    Family::ALL.into_iter().find(|f| family_number(*f) == number)
}

pub(super) fn family_number(family: Family) -> u8 {
    match family {
        Family::Ip => libc::NFPROTO_IPV4 as u8,
        Family::Ip6 => libc::NFPROTO_IPV6 as u8,
    }
}

/// Sends all changes as one transaction; the error names the first change refused.
pub(super) fn transact(netlink: &mut Netlink, changes: &[Change<'_>]) -> Result<(), Error> {
    let mut batch = Batch { netlink, bytes: Vec::new(), sets: 0, last: 0 };
    batch.mark(BATCH_BEGIN);
    let mut firsts = Vec::with_capacity(changes.len());
    for (i, change) in changes.iter().enumerate() {
        firsts.push(batch.netlink.next_sequence());
        let flags = if i + 1 == changes.len() { ACK } else { 0 };
        batch.change(change, flags);
    }
    batch.mark(BATCH_END);
    let Batch { netlink, bytes, last, .. } = batch;
    let refused = netlink.batch(&bytes, last)?;
    let Some((sequence, refusal)) = refused.into_iter().next() else { return Ok(()) };
    let index = firsts.partition_point(|first| *first <= sequence).saturating_sub(1);
    Err(refusal.named(format!("cannot change the firewall: {}", describe(changes.get(index)))))
}

fn describe(change: Option<&Change<'_>>) -> String {
    let text = match change {
        Some(Change::AddTable(id)) => format!("add table {}", id.name),
        Some(Change::DelTable(id)) => format!("delete table {}", id.name),
        Some(Change::AddSet(_, name, _)) => format!("add set {name}"),
        Some(Change::DelSet(_, name)) => format!("delete set {name}"),
        Some(Change::AddChain(_, name, _)) => format!("add chain {name}"),
        Some(Change::DelChain(_, name)) => format!("delete chain {name}"),
        Some(Change::Flush(_, name)) => format!("flush chain {name}"),
        Some(Change::AddRule(_, chain, rule)) => format!("add a rule to {chain}: {rule:?}"),
        Some(Change::AddElements(_, name, ..)) => format!("add elements to {name}"),
        Some(Change::DelElements(_, name, ..)) => format!("delete elements of {name}"),
        None => "the transaction".to_string(),
    };
    text.chars().take(300).collect()
}

/// A batch under construction.
pub(super) struct Batch<'a> {
    netlink: &'a mut Netlink,
    bytes: Vec<u8>,
    sets: u32,
    last: u32,
}

impl Batch<'_> {
    fn mark(&mut self, kind: u16) {
        let header = [0, 0, 0, SUBSYSTEM as u8];
        let sequence = self.netlink.next_sequence();
        self.bytes.extend(Message::new(kind, 0, "").raw(&header).finish(0, sequence));
    }

    fn push(&mut self, message: Message, flags: u16) {
        self.last = self.netlink.next_sequence();
        self.bytes.extend(message.finish(flags, self.last));
    }

    /// A number that names a set within this transaction.
    fn set_id(&mut self) -> u32 {
        self.sets += 1;
        self.sets
    }

    fn change(&mut self, change: &Change<'_>, ack: u16) {
        match change {
            Change::AddTable(id) => self.push(table(id, NEWTABLE, CREATE), ack),
            Change::DelTable(id) => self.push(table(id, DELTABLE, 0), ack),
            Change::AddChain(id, name, definition) => {
                self.push(add_chain(id, name, definition), ack);
            }
            Change::DelChain(id, name) => self.push(chain(id, name, DELCHAIN, 0), ack),
            Change::Flush(id, name) => self.push(rule(id, name, DELRULE, 0), ack),
            Change::AddRule(id, name, definition) => self.add_rule(id, name, definition, ack),
            Change::AddSet(id, name, definition) => {
                let set_id = self.set_id();
                self.push(add_set(id, name, definition, set_id), ack);
            }
            Change::DelSet(id, name) => self.push(del_set(id, name), ack),
            Change::AddElements(id, name, _, elements) => {
                self.elements(NEWSETELEM, id, name, elements, ack);
            }
            Change::DelElements(id, name, _, elements) => {
                self.elements(DELSETELEM, id, name, elements, ack);
            }
        }
    }

    fn add_rule(&mut self, id: &TableId, chain: &str, definition: &Rule, ack: u16) {
        const EXPRESSIONS: u16 = 4;
        const USERDATA: u16 = 7;
        let mut message = rule(id, chain, NEWRULE, CREATE | APPEND);
        let mut writer = expr::Writer::new(id, self);
        for stmt in &definition.0 {
            writer.stmt(stmt);
        }
        let (expressions, comment) = (writer.expressions, writer.comment);
        message.nest(EXPRESSIONS, |m| {
            for (name, data) in &expressions {
                m.nest(LIST_ELEM, |m| expr::named(m, name, data));
            }
        });
        if let Some(text) = comment {
            let length = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
            let bytes = [&[0, length], text.as_bytes(), &[0]].concat();
            message.attr(USERDATA, &bytes);
        }
        self.push(message, ack);
    }

    /// A nameless constant map that only the next rule uses. Gives its id.
    pub(super) fn anonymous(
        &mut self,
        id: &TableId,
        data: &DataType,
        elements: &[Numbered],
    ) -> u32 {
        const ANONYMOUS_CONSTANT_MAP: u32 = 0x1 | 0x2 | 0x8;
        let set_id = self.set_id();
        let mut message = set(id, ANONYMOUS, NEWSET, CREATE);
        message.be32(SET_FLAGS, ANONYMOUS_CONSTANT_MAP);
        message.be32(SET_KEY_TYPE, TYPE_INTEGER);
        message.be32(SET_KEY_LEN, 4);
        set_data(&mut message, id.family, data);
        message.be32(SET_ID, set_id);
        set_size(&mut message, elements.len() as u32);
        message.attr(SET_USERDATA, HOST_ORDER);
        self.push(message, 0);
        for chunk in elements.chunks(CHUNK) {
            let mut message = set_elements(NEWSETELEM, id, ANONYMOUS, Some(set_id));
            message.nest(ELEM_LIST_ELEMENTS, |m| {
                for (number, datum) in chunk {
                    let key = number.to_ne_bytes();
                    m.nest(LIST_ELEM, |m| element(m, &key, datum));
                }
            });
            self.push(message, 0);
        }
        set_id
    }

    fn elements(
        &mut self,
        kind: u16,
        id: &TableId,
        name: &str,
        elements: &[(&[Value], &Datum)],
        ack: u16,
    ) {
        let chunks = elements.len().div_ceil(CHUNK);
        for (i, chunk) in elements.chunks(CHUNK).enumerate() {
            let mut message = set_elements(kind, id, name, None);
            message.nest(ELEM_LIST_ELEMENTS, |m| {
                for (key, datum) in chunk {
                    let bytes = joined(key);
                    m.nest(LIST_ELEM, |m| element(m, &bytes, datum));
                }
            });
            self.push(message, if i + 1 == chunks { ack } else { 0 });
        }
    }
}

/// An element of a map from numbers.
pub(super) type Numbered = (u32, Datum);

/// Name pattern by which the kernel numbers nameless maps.
pub(super) const ANONYMOUS: &str = "__map%d";

/// Elements in one message: the largest has about 150 bytes, a nest holds 64 KiB.
const CHUNK: usize = 300;

fn message(id: &TableId, kind_of: u16, flags: u16) -> Message {
    Message::new(kind(kind_of), flags, "").raw(&[family_number(id.family), 0, 0, 0])
}

fn table(id: &TableId, kind: u16, flags: u16) -> Message {
    const NAME: u16 = 1;
    let mut m = message(id, kind, flags);
    m.text(NAME, &id.name);
    m
}

fn chain(id: &TableId, name: &str, kind: u16, flags: u16) -> Message {
    const TABLE: u16 = 1;
    const NAME: u16 = 3;
    let mut m = message(id, kind, flags);
    m.text(TABLE, &id.name);
    m.text(NAME, name);
    m
}

fn add_chain(id: &TableId, name: &str, definition: &Chain) -> Message {
    const HOOK: u16 = 4;
    const POLICY: u16 = 5;
    const TYPE: u16 = 7;
    const HOOK_NUMBER: u16 = 1;
    const HOOK_PRIORITY: u16 = 2;
    const ACCEPT: u32 = 1;
    let mut m = chain(id, name, NEWCHAIN, CREATE);
    let Some(base) = definition.base else { return m };
    m.nest(HOOK, |m| {
        m.be32(HOOK_NUMBER, hook_number(base.hook));
        m.attr(HOOK_PRIORITY, &base.priority.to_be_bytes());
    });
    m.be32(POLICY, ACCEPT);
    m.text(
        TYPE,
        match base.kind {
            ChainKind::Filter => "filter",
            ChainKind::Nat => "nat",
        },
    );
    m
}

fn hook_number(hook: Hook) -> u32 {
    match hook {
        Hook::Prerouting => 0,
        Hook::Input => 1,
        Hook::Forward => 2,
        Hook::Output => 3,
        Hook::Postrouting => 4,
    }
}

fn rule(id: &TableId, chain: &str, kind: u16, flags: u16) -> Message {
    const TABLE: u16 = 1;
    const CHAIN: u16 = 2;
    let mut m = message(id, kind, flags);
    m.text(TABLE, &id.name);
    m.text(CHAIN, chain);
    m
}

const SET_TABLE: u16 = 1;
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LEN: u16 = 5;
const SET_DATA_TYPE: u16 = 6;
const SET_DATA_LEN: u16 = 7;
const SET_DESC: u16 = 9;
const SET_ID: u16 = 10;
const SET_TIMEOUT: u16 = 11;
const SET_USERDATA: u16 = 13;

fn set(id: &TableId, name: &str, kind: u16, flags: u16) -> Message {
    let mut m = message(id, kind, flags);
    m.text(SET_TABLE, &id.name);
    m.text(SET_NAME, name);
    m
}

fn del_set(id: &TableId, name: &str) -> Message {
    set(id, name, DELSET, 0)
}

fn add_set(id: &TableId, name: &str, definition: &Set, set_id: u32) -> Message {
    const MAP: u32 = 0x8;
    const TIMEOUT_EVAL: u32 = 0x10 | 0x20;
    let mut flags = 0;
    if definition.data != DataType::None {
        flags |= MAP;
    }
    if definition.timeout.is_some() {
        flags |= TIMEOUT_EVAL;
    }
    let mut m = set(id, name, NEWSET, CREATE);
    m.be32(SET_FLAGS, flags);
    m.be32(SET_KEY_TYPE, type_number(id.family, &definition.key));
    m.be32(SET_KEY_LEN, type_length(id.family, &definition.key));
    set_data(&mut m, id.family, &definition.data);
    m.be32(SET_ID, set_id);
    if matches!(definition.key[..], [Type::Iface | Type::Slot]) {
        m.attr(SET_USERDATA, HOST_ORDER);
    }
    if let Some(seconds) = definition.timeout {
        m.attr(SET_TIMEOUT, &(seconds * 1000).to_be_bytes());
        set_size(&mut m, netplan::nft::DYNAMIC_SIZE);
    }
    m
}

/// Tells `nft list` that keys are in the machine's order of bytes; the kernel only keeps it.
const HOST_ORDER: &[u8] = &[0, 4, 1, 0, 0, 0];

fn set_size(m: &mut Message, size: u32) {
    const DESC_SIZE: u16 = 1;
    m.nest(SET_DESC, |m| m.be32(DESC_SIZE, size));
}

fn set_data(m: &mut Message, family: Family, data: &DataType) {
    const VERDICT: u32 = 0xffff_ff00;
    match data {
        DataType::None => {}
        DataType::Verdict => m.be32(SET_DATA_TYPE, VERDICT),
        DataType::Values(types) => {
            m.be32(SET_DATA_TYPE, type_number(family, types));
            m.be32(SET_DATA_LEN, type_length(family, types));
        }
    }
}

const TYPE_INTEGER: u32 = 4;
const TYPE_MARK: u32 = 19;

/// Numbers of nft's data types; a concatenation has six bits for each part. The kernel only keeps
/// them for `nft list`.
fn type_number(family: Family, types: &[Type]) -> u32 {
    types.iter().fold(0, |sum, t| sum << 6 | one_type(family, *t).0)
}

/// Bytes of a key: each part fills whole words.
fn type_length(family: Family, types: &[Type]) -> u32 {
    types.iter().map(|t| one_type(family, *t).1.next_multiple_of(4)).sum::<u32>()
        - if types.len() == 1 { padding(one_type(family, types[0]).1) } else { 0 }
}

fn padding(length: u32) -> u32 {
    length.next_multiple_of(4) - length
}

fn one_type(family: Family, of: Type) -> (u32, u32) {
    match (of, family) {
        (Type::Addr, Family::Ip) => (7, 4),
        (Type::Addr, Family::Ip6) => (8, 16),
        (Type::Proto, _) => (12, 1),
        (Type::Port, _) => (13, 2),
        (Type::Iface, _) => (41, 16),
        (Type::Slot, _) => (TYPE_MARK, 4),
    }
}

const ELEM_LIST_ELEMENTS: u16 = 3;

fn set_elements(kind: u16, id: &TableId, name: &str, set_id: Option<u32>) -> Message {
    const TABLE: u16 = 1;
    const SET: u16 = 2;
    const ID: u16 = 4;
    let mut m = message(id, kind, if kind == NEWSETELEM { CREATE } else { 0 });
    m.text(TABLE, &id.name);
    m.text(SET, name);
    if let Some(set_id) = set_id {
        m.be32(ID, set_id);
    }
    m
}

fn element(m: &mut Message, key: &[u8], datum: &Datum) {
    const KEY: u16 = 1;
    const DATA: u16 = 2;
    m.nest(KEY, |m| m.attr(DATA_VALUE, key));
    match datum {
        Datum::None => {}
        Datum::Verdict(v) => m.nest(DATA, |m| verdict(m, v)),
        Datum::Values(values) => m.nest(DATA, |m| m.attr(DATA_VALUE, &joined(values))),
    }
}

/// Fills a data attribute with a verdict.
pub(super) fn verdict(m: &mut Message, verdict: &Verdict) {
    const CODE: u16 = 1;
    const CHAIN: u16 = 2;
    let (code, chain) = match verdict {
        Verdict::Drop => (0, None),
        Verdict::Accept => (1, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Goto(chain) => (-4, Some(chain)),
        Verdict::Return => (-5_i32, None),
    };
    m.nest(DATA_VERDICT, |m| {
        m.attr(CODE, &code.to_be_bytes());
        if let Some(chain) = chain {
            m.text(CHAIN, chain);
        }
    });
}

/// Fills a data attribute with bytes.
pub(super) fn value(m: &mut Message, bytes: &[u8]) {
    m.attr(DATA_VALUE, bytes);
}

/// The parts of a key, each in whole words unless it is the only one.
fn joined(values: &[Value]) -> Vec<u8> {
    let [single] = values else {
        let padded = |v: &Value| {
            let mut bytes = encoded(v);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        return values.iter().flat_map(padded).collect();
    };
    encoded(single)
}

/// A constant as the packet's bytes are when they are compared with it.
pub(super) fn encoded(value: &Value) -> Vec<u8> {
    const RTN_LOCAL: u32 = 2;
    match value {
        Value::Addr(addr) => octets(*addr),
        Value::Net(net) => octets(net.network()),
        Value::Proto(proto) => vec![proto.number()],
        Value::Port(port) => port.to_be_bytes().to_vec(),
        Value::Slot(slot) => slot.to_ne_bytes().to_vec(),
        Value::Iface(name) => {
            let mut bytes = name.as_bytes().to_vec();
            bytes.resize(16, 0);
            bytes
        }
        Value::Bits(word) => word.to_ne_bytes().to_vec(),
        Value::Local => RTN_LOCAL.to_ne_bytes().to_vec(),
    }
}
