//! The answer to a query, from a zone alone.

use super::wire::{
    CLASS_IN, HEADER, Query, Response, Section, code, encode_name, expand_name, kind, records,
    u16_at,
};
use super::{Data, Zone};

/// Over what a query came: it limits the size of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// What to do about a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Send this.
    Reply(Vec<u8>),
    /// The name is not ours: ask elsewhere.
    Forward,
    /// An alias leads out of the zone: ask elsewhere for its target, then [`finish`].
    Chase(Chase),
    /// Not a query; sending anything would be an answer to an answer.
    Ignore,
}

/// An alias whose target is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chase {
    /// A ready query for the target, with id 0.
    pub query: Vec<u8>,
    /// The name outside of the zone.
    pub target: String,
}

/// Answers from a zone, or says who else must.
pub fn answer(zone: &Zone, bytes: &[u8], transport: Transport) -> Answer {
    let Ok(query) = Query::parse(bytes) else { return unreadable(bytes) };
    let limit = limit(&query, transport);
    if query.edns.is_some_and(|e| e.version != 0) {
        return Answer::Reply(Response::to(&query, limit).finish(&query));
    }
    match (query.opcode, query.class, query.kind) {
        (0, CLASS_IN, kind::AXFR) => Answer::Reply(failure(bytes, code::REFUSED)),
        (0, CLASS_IN, _) => lookup(zone, &query, limit),
        (0, ..) => Answer::Forward,
        _ => Answer::Reply(failure(bytes, code::NOT_IMPLEMENTED)),
    }
}

fn limit(query: &Query<'_>, transport: Transport) -> usize {
    const PLAIN: u16 = 512;
    const LARGEST: u16 = 4096;
    match (transport, query.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => usize::from(PLAIN),
        (Transport::Udp, Some(edns)) => usize::from(edns.size.clamp(PLAIN, LARGEST)),
    }
}

fn unreadable(bytes: &[u8]) -> Answer {
    match u16_at(bytes, 2) {
        Ok(flags) if flags & 0x8000 == 0 && bytes.len() >= HEADER => {
            Answer::Reply(failure(bytes, code::FORMAT))
        }
        _ => Answer::Ignore,
    }
}

/// A response that only says what went wrong. `query` is at least a header.
pub fn failure(query: &[u8], code: u8) -> Vec<u8> {
    match Query::parse(query) {
        Ok(parsed) => {
            let mut response = Response::to(&parsed, usize::from(u16::MAX));
            response.code(code);
            response.finish(&parsed)
        }
        Err(_) => {
            let mut bytes = vec![0; HEADER];
            let known = query.len().min(3);
            bytes[..known].copy_from_slice(&query[..known]);
            bytes[2] = bytes[2] & 0x79 | 0x80;
            bytes[3] = 0x80 | code;
            bytes
        }
    }
}

/// How many aliases may follow each other.
const CHAIN: usize = 8;

fn lookup(zone: &Zone, query: &Query<'_>, limit: usize) -> Answer {
    let Some(data) = zone.find(&query.name) else { return absent(zone, query, limit) };
    let mut response = Response::to(query, limit);
    if zone.origin_of(&query.name).is_some() {
        response.authoritative();
    }
    let (mut owner, mut data) = (query.name.clone(), data);
    for _ in 0..CHAIN {
        let alias = data.iter().find_map(|d| match d {
            Data::Cname(target) if query.kind != kind::CNAME => Some(target.clone()),
            _ => None,
        });
        let Some(target) = alias else { break };
        add(&mut response, zone, query, &owner, &Data::Cname(target.clone()));
        match zone.find(&target) {
            Some(found) => (owner, data) = (target, found),
            None if zone.origin_of(&target).is_some() || query.kind == kind::ANY => {
                return Answer::Reply(response.finish(query));
            }
            None => return chase(query, target),
        }
    }
    let matching = |d: &&Data| query.kind == d.kind() || query.kind == kind::ANY;
    let found: Vec<&Data> = data.iter().filter(matching).collect();
    let soa = query.kind == kind::SOA && zone.origins.contains(&query.name);
    if found.is_empty() && !soa {
        authority(&mut response, zone, &query.name);
    }
    if soa {
        response.add(Section::Answer, None, (kind::SOA, zone.ttl), &soa_data(zone, &query.name));
    }
    for one in rotated(&found, query.id) {
        add(&mut response, zone, query, &owner, one);
    }
    additional(&mut response, zone, &found);
    Answer::Reply(response.finish(query))
}

/// Round robin without a memory: the query's id decides who is first.
fn rotated<'a>(found: &[&'a Data], id: u16) -> Vec<&'a Data> {
    let mut list = found.to_vec();
    if !list.is_empty() {
        let by = usize::from(id) % list.len();
        list.rotate_left(by);
    }
    list
}

fn add(response: &mut Response, zone: &Zone, query: &Query<'_>, owner: &str, data: &Data) {
    let name = (owner != query.name).then(|| encode_name(owner));
    response.add(Section::Answer, name.as_deref(), (data.kind(), zone.ttl), &data.encode());
}

/// Addresses of the hosts that SRV records name.
fn additional(response: &mut Response, zone: &Zone, found: &[&Data]) {
    let mut named: Vec<&str> = Vec::new();
    for data in found {
        let Data::Srv { target, .. } = data else { continue };
        if named.contains(&target.as_str()) {
            continue;
        }
        named.push(target);
        let owner = encode_name(target);
        for addr in zone.find(target).unwrap_or_default() {
            if matches!(addr, Data::A(_) | Data::Aaaa(_)) {
                let head = (addr.kind(), zone.ttl);
                response.add(Section::Additional, Some(&owner), head, &addr.encode());
            }
        }
    }
}

fn absent(zone: &Zone, query: &Query<'_>, limit: usize) -> Answer {
    if zone.origin_of(&query.name).is_none() {
        return Answer::Forward;
    }
    let mut response = Response::to(query, limit);
    response.authoritative();
    response.code(code::NO_NAME);
    authority(&mut response, zone, &query.name);
    Answer::Reply(response.finish(query))
}

/// The SOA record that says how long a "no" may be kept.
fn authority(response: &mut Response, zone: &Zone, name: &str) {
    if let Some(origin) = zone.origin_of(name) {
        let owner = encode_name(origin);
        let data = soa_data(zone, origin);
        response.add(Section::Authority, Some(&owner), (kind::SOA, zone.ttl), &data);
    }
}

fn soa_data(zone: &Zone, origin: &str) -> Vec<u8> {
    const REFRESH: u32 = 7200;
    const RETRY: u32 = 1800;
    const EXPIRE: u32 = 86_400;
    let server = encode_name(&format!("ns.dns.{origin}"));
    let mailbox = encode_name(&format!("hostmaster.{origin}"));
    let numbers = [zone.serial, REFRESH, RETRY, EXPIRE, zone.ttl].map(u32::to_be_bytes).concat();
    [server, mailbox, numbers].concat()
}

fn chase(query: &Query<'_>, target: String) -> Answer {
    let mut bytes = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend(encode_name(&target));
    bytes.extend_from_slice(&query.kind.to_be_bytes());
    bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
    Answer::Chase(Chase { query: bytes, target })
}

/// The answer to a query whose alias led out of the zone: the alias, and what the upstream
/// server said of its target (`None` when it said nothing).
pub fn finish(
    zone: &Zone,
    bytes: &[u8],
    transport: Transport,
    chase: &Chase,
    upstream: Option<&[u8]>,
) -> Vec<u8> {
    let Ok(query) = Query::parse(bytes) else { return failure(bytes, code::FORMAT) };
    let mut response = Response::to(&query, limit(&query, transport));
    response.authoritative();
    let mut name = query.name.clone();
    for _ in 0..CHAIN {
        let data = zone.find(&name).unwrap_or_default();
        let alias = data.into_iter().find(|d| matches!(d, Data::Cname(_)));
        let Some(Data::Cname(target)) = alias else { break };
        add(&mut response, zone, &query, &name, &Data::Cname(target.clone()));
        name = target;
        if name == chase.target {
            break;
        }
    }
    match upstream {
        Some(reply) => copy_answers(&mut response, reply),
        None => response.code(code::SERVER_FAILURE),
    }
    response.finish(&query)
}

/// Takes over the aliases and addresses of an upstream answer, and its code.
fn copy_answers(response: &mut Response, reply: &[u8]) {
    let Ok((list, answers)) = records(reply) else {
        response.code(code::SERVER_FAILURE);
        return;
    };
    response.code(reply.get(3).map_or(code::SERVER_FAILURE, |b| b & 0xf));
    for record in &list[..answers] {
        let data = match record.kind {
            kind::A | kind::AAAA => Ok(reply[record.data..record.end].to_vec()),
            kind::CNAME => expand_name(reply, record.data),
            _ => continue,
        };
        if let (Ok(owner), Ok(data)) = (expand_name(reply, record.name), data) {
            response.add(Section::Answer, Some(&owner), (record.kind, record.ttl), &data);
        }
    }
}
