//! The DNS message format (RFC 1035, RFC 6891), as much as a server of names needs. Every reader
//! is bounded by the message; lies about lengths and pointers are errors, never panics.

/// Record types.
pub mod kind {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const OPT: u16 = 41;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
}

/// Response codes.
pub mod code {
    pub const NO_ERROR: u8 = 0;
    pub const FORMAT: u8 = 1;
    pub const SERVER_FAILURE: u8 = 2;
    pub const NO_NAME: u8 = 3;
    pub const NOT_IMPLEMENTED: u8 = 4;
    pub const REFUSED: u8 = 5;
}

pub const CLASS_IN: u16 = 1;
pub const HEADER: usize = 12;
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;

/// Why a message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// A question with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    pub id: u16,
    /// Recursion desired; comes back in the answer.
    pub recursion: bool,
    pub opcode: u8,
    /// Lower case, without the last dot. Letters that no name of ours has are replaced by one
    /// that none has either.
    pub name: String,
    pub kind: u16,
    pub class: u16,
    /// The question as it came: name in the client's case, type, class.
    pub question: &'a [u8],
    pub edns: Option<Edns>,
}

/// What an OPT record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// Largest UDP answer the client takes.
    pub size: u16,
    pub version: u8,
    /// The flags, with DO as the highest bit.
    pub flags: u16,
}

impl<'a> Query<'a> {
    /// Reads a request with exactly one question.
    pub fn parse(bytes: &'a [u8]) -> Result<Query<'a>, Malformed> {
        let flags = u16_at(bytes, 2)?;
        if flags & 0x8000 != 0 || u16_at(bytes, 4)? != 1 {
            return Err(Malformed);
        }
        let (name, after) = question_name(bytes, HEADER)?;
        let question = bytes.get(HEADER..after + 4).ok_or(Malformed)?;
        Ok(Query {
            id: u16_at(bytes, 0)?,
            recursion: flags & 0x0100 != 0,
            opcode: (flags >> 11 & 0xf) as u8,
            name,
            kind: u16_at(bytes, after)?,
            class: u16_at(bytes, after + 2)?,
            question,
            edns: edns(bytes, after + 4)?,
        })
    }
}

/// Reads the uncompressed name of a question; gives where it ends.
fn question_name(bytes: &[u8], start: usize) -> Result<(String, usize), Malformed> {
    let (mut name, mut at) = (String::new(), start);
    loop {
        let length = usize::from(*bytes.get(at).ok_or(Malformed)?);
        at += 1;
        if length == 0 {
            break;
        }
        if length > MAX_LABEL || at + length - start > MAX_NAME {
            return Err(Malformed);
        }
        let label = bytes.get(at..at + length).ok_or(Malformed)?;
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|b| plain(*b)));
        at += length;
    }
    Ok((name, at))
}

fn plain(byte: u8) -> char {
    match byte {
        b'.' => char::REPLACEMENT_CHARACTER,
        b if b.is_ascii_graphic() => char::from(b.to_ascii_lowercase()),
        _ => char::REPLACEMENT_CHARACTER,
    }
}

/// Finds the OPT record behind the question.
fn edns(bytes: &[u8], start: usize) -> Result<Option<Edns>, Malformed> {
    let count = [6, 8, 10]
        .into_iter()
        .try_fold(0, |sum, section| Ok(sum + usize::from(u16_at(bytes, section)?)))?;
    let mut at = start;
    for _ in 0..count {
        let record = Record::read(bytes, at)?;
        if record.kind == kind::OPT {
            let [_, version, high, low] = record.ttl.to_be_bytes();
            let flags = u16::from_be_bytes([high, low]);
            return Ok(Some(Edns { size: record.class, version, flags }));
        }
        at = record.end;
    }
    Ok(None)
}

/// A resource record within a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Where its owner name starts.
    pub name: usize,
    pub kind: u16,
    pub class: u16,
    pub ttl: u32,
    /// Where its TTL stands, to count it down in a cached answer.
    pub ttl_at: usize,
    pub data: usize,
    pub end: usize,
}

impl Record {
    /// Reads the record at an offset.
    pub fn read(bytes: &[u8], at: usize) -> Result<Record, Malformed> {
        let after = skip_name(bytes, at)?;
        let length = usize::from(u16_at(bytes, after + 8)?);
        let data = after + 10;
        if data + length > bytes.len() {
            return Err(Malformed);
        }
        let ttl = u32::from(u16_at(bytes, after + 4)?) << 16 | u32::from(u16_at(bytes, after + 6)?);
        Ok(Record {
            name: at,
            kind: u16_at(bytes, after)?,
            class: u16_at(bytes, after + 2)?,
            ttl,
            ttl_at: after + 4,
            data,
            end: data + length,
        })
    }
}

/// The records of a response: those of the answer section first, then the others. Gives how many
/// are answers.
pub fn records(bytes: &[u8]) -> Result<(Vec<Record>, usize), Malformed> {
    let mut at = HEADER;
    for _ in 0..u16_at(bytes, 4)? {
        at = skip_name(bytes, at)? + 4;
    }
    let answers = usize::from(u16_at(bytes, 6)?);
    let count = answers + usize::from(u16_at(bytes, 8)?) + usize::from(u16_at(bytes, 10)?);
    let mut records = Vec::new();
    for _ in 0..count {
        let record = Record::read(bytes, at)?;
        at = record.end;
        records.push(record);
    }
    Ok((records, answers))
}

/// Where the name at an offset ends, without following pointers.
fn skip_name(bytes: &[u8], mut at: usize) -> Result<usize, Malformed> {
    loop {
        let length = usize::from(*bytes.get(at).ok_or(Malformed)?);
        match length {
            0 => return Ok(at + 1),
            0xc0.. => return Ok(at + 2),
            1..=MAX_LABEL => at += 1 + length,
            _ => return Err(Malformed),
        }
    }
}

/// The name at an offset without compression, in wire form. Pointers must lead backwards.
pub fn expand_name(bytes: &[u8], mut at: usize) -> Result<Vec<u8>, Malformed> {
    let mut name = Vec::new();
    let mut limit = at + 1;
    loop {
        let length = usize::from(*bytes.get(at).ok_or(Malformed)?);
        match length {
            0 => {
                name.push(0);
                return Ok(name);
            }
            0xc0.. => {
                let to = usize::from(u16_at(bytes, at)? & 0x3fff);
                if to >= limit.min(at) {
                    return Err(Malformed);
                }
                (at, limit) = (to, to);
            }
            1..=MAX_LABEL => {
                name.extend_from_slice(bytes.get(at..at + 1 + length).ok_or(Malformed)?);
                at += 1 + length;
                if name.len() >= MAX_NAME {
                    return Err(Malformed);
                }
            }
            _ => return Err(Malformed),
        }
    }
}

pub fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    let pair = bytes.get(at..at + 2).ok_or(Malformed)?;
    Ok(u16::from_be_bytes([pair[0], pair[1]]))
}

/// A name in wire form; labels that are too long or empty are left out, so that a name somebody
/// made up cannot break a message.
pub fn encode_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|l| !l.is_empty() && l.len() <= MAX_LABEL) {
        if bytes.len() + label.len() + 2 > MAX_NAME {
            break;
        }
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A response under construction, cut to a size.
#[derive(Debug)]
pub struct Response {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
}

/// A section of a response, by the offset of its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Answer = 6,
    Authority = 8,
    Additional = 10,
}

const OPT_SIZE: usize = 11;
/// What we take over UDP ourselves: fits an unfragmented packet everywhere.
const OUR_SIZE: u16 = 1232;

impl Response {
    /// Starts a response to a query, which fits `limit` bytes as a whole.
    pub fn to(query: &Query<'_>, limit: usize) -> Response {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(&query.id.to_be_bytes());
        let recursion = if query.recursion { 0x01 } else { 0 };
        bytes.extend_from_slice(&[0x80 | query.opcode << 3 | recursion, 0x80]);
        bytes.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(query.question);
        let room = if query.edns.is_some() { OPT_SIZE } else { 0 };
        Response { bytes, limit: limit - room, full: false }
    }

    /// The answer is from our own data.
    pub fn authoritative(&mut self) {
        self.bytes[2] |= 0x04;
    }

    pub fn code(&mut self, code: u8) {
        self.bytes[3] = self.bytes[3] & 0xf0 | code;
    }

    /// Adds a record unless it does not fit; what is cut off an answer is said so. The owner is
    /// the name in the question when absent.
    pub fn add(
        &mut self,
        section: Section,
        owner: Option<&[u8]>,
        (kind, ttl): (u16, u32),
        data: &[u8],
    ) {
        const QUESTION: &[u8] = &[0xc0, HEADER as u8];
        let owner = owner.unwrap_or(QUESTION);
        if self.full || self.bytes.len() + owner.len() + 10 + data.len() > self.limit {
            if section == Section::Answer {
                self.full = true;
                self.bytes[2] |= 0x02;
            }
            return;
        }
        self.bytes.extend_from_slice(owner);
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
        self.bytes.extend_from_slice(&ttl.to_be_bytes());
        self.bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(data);
        self.count(section);
    }

    fn count(&mut self, section: Section) {
        let at = section as usize;
        let count = u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]) + 1;
        self.bytes[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }

    /// The finished bytes, with an OPT record when the client sent one.
    pub fn finish(mut self, query: &Query<'_>) -> Vec<u8> {
        if let Some(edns) = query.edns {
            // A version we do not know is answered by BADVERS, whose high bits stand here.
            let extended = u8::from(edns.version != 0);
            self.bytes.extend_from_slice(&[0, 0, kind::OPT as u8]);
            self.bytes.extend_from_slice(&OUR_SIZE.to_be_bytes());
            self.bytes.extend_from_slice(&[extended, 0]);
            self.bytes.extend_from_slice(&(edns.flags & 0x8000).to_be_bytes());
            self.bytes.extend_from_slice(&[0, 0]);
            self.count(Section::Additional);
        }
        self.bytes
    }
}
