//! Statements as expressions of the kernel's register machine.
//!
//! Register 8 is the first of sixteen words; a statement starts there and its parts follow, so
//! no statement depends on what another left in a register.

use ipnet::IpNet;
use netplan::nft::{
    DataType, Datum, Equal, Family, Field, Reject, Stmt, TableId, Target, Type, Value, Verdict,
};

use super::encode::{ANONYMOUS, Batch, Numbered, encoded, family_number, value, verdict};
use crate::netlink::Message;

const FIRST: u32 = 8;
const VERDICT_REGISTER: u32 = 0;

/// The statements of one rule, written in order.
pub(super) struct Writer<'a, 'b> {
    id: &'a TableId,
    batch: &'a mut Batch<'b>,
    pub(super) expressions: Vec<(&'static str, Message)>,
    pub(super) comment: Option<String>,
}

/// Writes an expression with its name into a list element.
pub(super) fn named(m: &mut Message, name: &str, data: &Message) {
    const NAME: u16 = 1;
    const DATA: u16 = 2;
    m.text(NAME, name);
    m.nest(DATA, |m| m.inline(data.payload()));
}

impl<'a, 'b> Writer<'a, 'b> {
    pub(super) fn new(id: &'a TableId, batch: &'a mut Batch<'b>) -> Writer<'a, 'b> {
        Writer { id, batch, expressions: Vec::new(), comment: None }
    }

    fn add(&mut self, name: &'static str, fill: impl FnOnce(&mut Message)) {
        let mut data = Message::new(0, 0, "");
        fill(&mut data);
        self.expressions.push((name, data));
    }

    pub(super) fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Compare { field, equal, value } => self.compare(*field, *equal, value),
            Stmt::InSet { fields, equal, set } => {
                self.load_all(fields);
                self.lookup(set, None, None, *equal);
            }
            Stmt::Marked(bits) => {
                self.load_mark();
                self.any_bit(*bits);
            }
            Stmt::MarkOr(bits) => self.set_mark(!bits, *bits),
            Stmt::MarkXor(bits) => self.set_mark(u32::MAX, *bits),
            Stmt::Update { set, fields } => self.update(set, fields),
            Stmt::Vmap { fields, map } => {
                self.load_all(fields);
                self.lookup(map, None, Some(VERDICT_REGISTER), Equal::Yes);
            }
            Stmt::RandomVerdict(verdicts) => self.random_verdict(verdicts),
            Stmt::Verdict(v) => self.verdict(v),
            Stmt::Reject(how) => self.reject(*how),
            Stmt::Dnat(target) => self.dnat(target),
            Stmt::Snat(addr, port) => {
                self.address(&Value::Addr(*addr), *port);
                self.nat(SNAT, port.is_some());
            }
            Stmt::Masquerade => self.add("masq", |_| {}),
            Stmt::MasqueradeRandom => self.masquerade_random(),
            Stmt::Comment(text) => self.comment = Some(text.clone()),
        }
    }

    fn compare(&mut self, field: Field, equal: Equal, wanted: &Value) {
        match wanted {
            Value::Net(net) => self.compare_net(field, equal, net),
            Value::Bits(bits) => {
                self.load(field, FIRST);
                self.any_bit(*bits);
            }
            _ => {
                self.load(field, FIRST);
                self.cmp(equal, &encoded(wanted));
            }
        }
    }

    /// Whole bytes of a prefix are compared as a shorter field, other prefixes under a mask.
    fn compare_net(&mut self, field: Field, equal: Equal, net: &IpNet) {
        let prefix = usize::from(net.prefix_len());
        let bytes = encoded(&Value::Net(*net));
        if prefix.is_multiple_of(8) && prefix > 0 && matches!(field, Field::Saddr | Field::Daddr) {
            self.load_address(field, FIRST, prefix as u32 / 8);
            self.cmp(equal, &bytes[..prefix / 8]);
        } else {
            self.load(field, FIRST);
            self.bitwise(&encoded(&Value::Addr(net.netmask())), &vec![0; bytes.len()]);
            self.cmp(equal, &bytes);
        }
    }

    fn any_bit(&mut self, bits: u32) {
        self.bitwise(&bits.to_ne_bytes(), &[0; 4]);
        self.cmp(Equal::No, &[0; 4]);
    }

    fn cmp(&mut self, equal: Equal, bytes: &[u8]) {
        const SREG: u16 = 1;
        const OP: u16 = 2;
        const DATA: u16 = 3;
        let op = match equal {
            Equal::Yes => 0,
            Equal::No => 1,
        };
        self.add("cmp", |m| {
            m.be32(SREG, FIRST);
            m.be32(OP, op);
            m.nest(DATA, |m| value(m, bytes));
        });
    }

    /// `(register & mask) ^ flip`, in place.
    fn bitwise(&mut self, mask: &[u8], flip: &[u8]) {
        const SREG: u16 = 1;
        const DREG: u16 = 2;
        const LEN: u16 = 3;
        const MASK: u16 = 4;
        const XOR: u16 = 5;
        self.add("bitwise", |m| {
            m.be32(SREG, FIRST);
            m.be32(DREG, FIRST);
            m.be32(LEN, mask.len() as u32);
            m.nest(MASK, |m| value(m, mask));
            m.nest(XOR, |m| value(m, flip));
        });
    }

    fn load_all(&mut self, fields: &[Field]) {
        let mut register = FIRST;
        for field in fields {
            register += self.load(*field, register);
        }
    }

    /// Loads a field and gives the number of registers it fills.
    fn load(&mut self, field: Field, register: u32) -> u32 {
        const SOURCE_PORT: u32 = 0;
        const TARGET_PORT: u32 = 2;
        const BY_SADDR: u32 = 1;
        const BY_DADDR: u32 = 2;
        match field {
            Field::Saddr | Field::Daddr => {
                let length = self.address_length();
                self.load_address(field, register, length);
                return length / 4;
            }
            Field::OriginalDaddr => {
                self.original_daddr(register);
                return self.address_length() / 4;
            }
            Field::Sport => self.payload(register, TRANSPORT, SOURCE_PORT, 2),
            Field::Dport => self.payload(register, TRANSPORT, TARGET_PORT, 2),
            Field::L4proto => self.meta(register, META_L4PROTO),
            Field::Iifname => {
                self.meta(register, META_IIFNAME);
                return 4;
            }
            Field::Oifname => {
                self.meta(register, META_OIFNAME);
                return 4;
            }
            Field::FibSaddr => self.fib(register, BY_SADDR),
            Field::FibDaddr => self.fib(register, BY_DADDR),
            Field::CtState => self.ct(register, CT_STATE),
            Field::CtStatus => self.ct(register, CT_STATUS),
        }
        1
    }

    fn address_length(&self) -> u32 {
        match self.id.family {
            Family::Ip => 4,
            Family::Ip6 => 16,
        }
    }

    fn load_address(&mut self, field: Field, register: u32, length: u32) {
        let offset = match (self.id.family, field) {
            (Family::Ip, Field::Saddr) => 12,
            (Family::Ip, _) => 16,
            (Family::Ip6, Field::Saddr) => 8,
            (Family::Ip6, _) => 24,
        };
        self.payload(register, NETWORK, offset, length);
    }

    fn payload(&mut self, register: u32, base: u32, offset: u32, length: u32) {
        const DREG: u16 = 1;
        const BASE: u16 = 2;
        const OFFSET: u16 = 3;
        const LEN: u16 = 4;
        self.add("payload", |m| {
            m.be32(DREG, register);
            m.be32(BASE, base);
            m.be32(OFFSET, offset);
            m.be32(LEN, length);
        });
    }

    fn meta(&mut self, register: u32, key: u32) {
        self.add("meta", |m| {
            m.be32(META_DREG, register);
            m.be32(META_KEY, key);
        });
    }

    fn load_mark(&mut self) {
        self.meta(FIRST, META_MARK);
    }

    fn set_mark(&mut self, mask: u32, flip: u32) {
        self.load_mark();
        self.bitwise(&mask.to_ne_bytes(), &flip.to_ne_bytes());
        self.add("meta", |m| {
            m.be32(META_KEY, META_MARK);
            m.be32(META_SREG, FIRST);
        });
    }

    fn ct(&mut self, register: u32, key: u32) {
        self.add("ct", |m| {
            m.be32(CT_DREG, register);
            m.be32(CT_KEY, key);
        });
    }

    fn original_daddr(&mut self, register: u32) {
        let key = match self.id.family {
            Family::Ip => CT_DST_IP,
            Family::Ip6 => CT_DST_IP6,
        };
        self.add("ct", |m| {
            m.be32(CT_DREG, register);
            m.be32(CT_KEY, key);
            m.attr(CT_DIRECTION, &[0]);
        });
    }

    fn fib(&mut self, register: u32, by: u32) {
        const DREG: u16 = 1;
        const RESULT: u16 = 2;
        const FLAGS: u16 = 3;
        const ADDRESS_TYPE: u32 = 3;
        self.add("fib", |m| {
            m.be32(DREG, register);
            m.be32(RESULT, ADDRESS_TYPE);
            m.be32(FLAGS, by);
        });
    }

    /// Looks the loaded key up; a named set is found by its name, a nameless one by its id.
    fn lookup(&mut self, set: &str, set_id: Option<u32>, into: Option<u32>, equal: Equal) {
        const SET: u16 = 1;
        const SREG: u16 = 2;
        const DREG: u16 = 3;
        const ID: u16 = 4;
        const FLAGS: u16 = 5;
        const INVERTED: u32 = 1;
        self.add("lookup", |m| {
            m.text(SET, set);
            m.be32(SREG, FIRST);
            if let Some(register) = into {
                m.be32(DREG, register);
            }
            if let Some(id) = set_id {
                m.be32(ID, id);
            }
            if equal == Equal::No {
                m.be32(FLAGS, INVERTED);
            }
        });
    }

    fn update(&mut self, set: &str, fields: &[Field]) {
        const SET_NAME: u16 = 1;
        const OP: u16 = 3;
        const SREG_KEY: u16 = 4;
        const UPDATE: u32 = 1;
        self.load_all(fields);
        self.add("dynset", |m| {
            m.text(SET_NAME, set);
            m.be32(OP, UPDATE);
            m.be32(SREG_KEY, FIRST);
        });
    }

    fn random(&mut self, modulus: u32, offset: u32) {
        const DREG: u16 = 1;
        const MODULUS: u16 = 2;
        const TYPE: u16 = 3;
        const OFFSET: u16 = 4;
        const RANDOM: u32 = 1;
        self.add("numgen", |m| {
            m.be32(DREG, FIRST);
            m.be32(MODULUS, modulus);
            m.be32(TYPE, RANDOM);
            m.be32(OFFSET, offset);
        });
    }

    fn random_verdict(&mut self, verdicts: &[Verdict]) {
        let elements: Vec<Numbered> =
            (0..).zip(verdicts.iter().map(|v| Datum::Verdict(v.clone()))).collect();
        let map = self.batch.anonymous(self.id, &DataType::Verdict, &elements);
        self.random(verdicts.len() as u32, 0);
        self.lookup(ANONYMOUS, Some(map), Some(VERDICT_REGISTER), Equal::Yes);
    }

    fn verdict(&mut self, to: &Verdict) {
        self.immediate(VERDICT_REGISTER, |m| verdict(m, to));
    }

    fn immediate(&mut self, register: u32, fill: impl FnOnce(&mut Message)) {
        const DREG: u16 = 1;
        const DATA: u16 = 2;
        self.add("immediate", |m| {
            m.be32(DREG, register);
            m.nest(DATA, fill);
        });
    }

    fn reject(&mut self, how: Reject) {
        const TYPE: u16 = 1;
        const CODE: u16 = 2;
        const ICMP: u32 = 0;
        const RESET: u32 = 1;
        let port_unreachable = match self.id.family {
            Family::Ip => 3,
            Family::Ip6 => 4,
        };
        let (kind, code) = match how {
            Reject::PortUnreachable => (ICMP, port_unreachable),
            Reject::TcpReset => (RESET, 0),
        };
        self.add("reject", |m| {
            m.be32(TYPE, kind);
            m.attr(CODE, &[code]);
        });
    }

    fn dnat(&mut self, target: &Target) {
        match target {
            Target::Fixed(addr, port) => {
                self.address(&Value::Addr(*addr), *port);
                self.nat(DNAT, port.is_some());
            }
            Target::Random(list) => {
                let socket = |(addr, port): &(_, u16)| {
                    Datum::Values(vec![Value::Addr(*addr), Value::Port(*port)])
                };
                let elements: Vec<Numbered> = (0..).zip(list.iter().map(socket)).collect();
                let data = DataType::Values(vec![Type::Addr, Type::Port]);
                let map = self.batch.anonymous(self.id, &data, &elements);
                self.random(list.len() as u32, 0);
                self.lookup(ANONYMOUS, Some(map), Some(FIRST), Equal::Yes);
                self.nat(DNAT, true);
            }
            Target::Slots { first, count, map } => {
                self.random(*count, *first);
                self.lookup(map, None, Some(FIRST), Equal::Yes);
                self.nat(DNAT, true);
            }
            Target::Map(fields, map) => {
                self.load_all(fields);
                self.lookup(map, None, Some(FIRST), Equal::Yes);
                self.nat(DNAT, true);
            }
        }
    }

    /// Puts an address, and a port when given, where [`Writer::nat`] takes them from.
    fn address(&mut self, addr: &Value, port: Option<u16>) {
        let after = FIRST + self.address_length() / 4;
        self.immediate(FIRST, |m| value(m, &encoded(addr)));
        if let Some(port) = port {
            self.immediate(after, |m| value(m, &port.to_be_bytes()));
        }
    }

    fn nat(&mut self, kind: u32, with_port: bool) {
        const TYPE: u16 = 1;
        const FAMILY: u16 = 2;
        const ADDR: u16 = 3;
        const PORT: u16 = 5;
        let after = FIRST + self.address_length() / 4;
        let family = u32::from(family_number(self.id.family));
        self.add("nat", |m| {
            m.be32(TYPE, kind);
            m.be32(FAMILY, family);
            m.be32(ADDR, FIRST);
            if with_port {
                m.be32(PORT, after);
            }
        });
    }

    fn masquerade_random(&mut self) {
        const FLAGS: u16 = 1;
        const FULLY_RANDOM: u32 = 0x10;
        self.add("masq", |m| m.be32(FLAGS, FULLY_RANDOM));
    }
}

const SNAT: u32 = 0;
const DNAT: u32 = 1;
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
const META_DREG: u16 = 1;
const META_KEY: u16 = 2;
const META_SREG: u16 = 3;
const META_MARK: u32 = 3;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_L4PROTO: u32 = 16;
const CT_DREG: u16 = 1;
const CT_KEY: u16 = 2;
const CT_DIRECTION: u16 = 3;
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
const CT_DST_IP: u32 = 20;
const CT_DST_IP6: u32 = 22;
