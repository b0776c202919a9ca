//! Answers of upstream servers, kept for as long as they allow, at most half a minute.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use netplan::dns::wire::{HEADER, Query, code, kind, records};

/// The longest an answer is kept, as CoreDNS in a default cluster does.
const LONGEST: u32 = 30;
/// Answers kept at once; some 200 bytes each.
const CAPACITY: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<Vec<u8>, Entry>,
}

#[derive(Debug)]
struct Entry {
    reply: Vec<u8>,
    stored: Instant,
    expires: Instant,
}

/// What makes two queries the same: the question without regard to case, and what the client
/// said about itself (flags and EDNS decide what an answer may contain).
fn key(bytes: &[u8], query: &Query<'_>) -> Vec<u8> {
    let mut key = query.question.to_ascii_lowercase();
    key.extend_from_slice(&bytes[2..4]);
    if let Some(edns) = query.edns {
        key.extend_from_slice(&edns.size.to_be_bytes());
        key.extend_from_slice(&edns.flags.to_be_bytes());
    }
    key
}

impl Cache {
    /// A kept answer, as if it had just come: with the query's id and letters, its times
    /// counted down.
    pub(super) fn get(&self, bytes: &[u8], now: Instant) -> Option<Vec<u8>> {
        let query = Query::parse(bytes).ok()?;
        let entry = self.entries.get(&key(bytes, &query)).filter(|e| now < e.expires)?;
        let mut reply = entry.reply.clone();
        reply[..2].copy_from_slice(&bytes[..2]);
        reply.get_mut(HEADER..HEADER + query.question.len())?.copy_from_slice(query.question);
        let age = now.duration_since(entry.stored).as_secs() as u32;
        for record in records(&reply).ok()?.0.iter().filter(|r| r.kind != kind::OPT) {
            let left = record.ttl.saturating_sub(age).to_be_bytes();
            reply[record.ttl_at..record.ttl_at + 4].copy_from_slice(&left);
        }
        Some(reply)
    }

    /// Keeps an answer, if it is one that may be kept.
    pub(super) fn put(&mut self, bytes: &[u8], reply: &[u8], now: Instant) {
        let (Ok(query), Some(seconds)) = (Query::parse(bytes), lifetime(reply)) else { return };
        if self.entries.len() >= CAPACITY {
            self.entries.retain(|_, e| now < e.expires);
        }
        if self.entries.len() < CAPACITY {
            let expires = now + Duration::from_secs(u64::from(seconds));
            let entry = Entry { reply: reply.to_vec(), stored: now, expires };
            self.entries.insert(key(bytes, &query), entry);
        }
    }
}

/// Seconds an answer may be kept: whole answers that say yes or no, while all records live.
fn lifetime(reply: &[u8]) -> Option<u32> {
    let (flags, code) = (*reply.get(2)?, *reply.get(3)? & 0xf);
    if flags & 0x02 != 0 || ![code::NO_ERROR, code::NO_NAME].contains(&code) {
        return None;
    }
    let (list, _) = records(reply).ok()?;
    let shortest = list.iter().filter(|r| r.kind != kind::OPT).map(|r| r.ttl).min()?;
    Some(shortest.min(LONGEST)).filter(|s| *s > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &[u8], id: u8) -> Vec<u8> {
        let mut bytes = vec![0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.len() as u8];
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&[0, 0, 1, 0, 1]);
        bytes
    }

    fn reply(query: &[u8], ttl: u8) -> Vec<u8> {
        let mut bytes = query.to_vec();
        bytes[2] |= 0x80;
        bytes[7] = 1;
        bytes.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl, 0, 4, 192, 0, 2, 1]);
        bytes
    }

    #[test]
    fn kept_answers_age_and_take_the_clients_letters() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let first = query(b"web", 1);
        cache.put(&first, &reply(&first, 10), now);
        let later = now + Duration::from_secs(4);
        let again = query(b"WEB", 2);
        assert_eq!(cache.get(&again, later), Some(reply(&again, 6)));
        assert_eq!(cache.get(&again, now + Duration::from_secs(10)), None);
        assert_eq!(cache.get(&query(b"other", 1), now), None);
    }

    #[test]
    fn what_is_not_kept() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let ask = query(b"web", 1);
        let mut cut = reply(&ask, 10);
        cut[2] |= 2;
        let mut failed = reply(&ask, 10);
        failed[3] = code::SERVER_FAILURE;
        for bad in [cut, failed, reply(&ask, 0), vec![1, 2, 3]] {
            cache.put(&ask, &bad, now);
            assert_eq!(cache.get(&ask, now), None);
        }
        for i in 0..=CAPACITY + 10 {
            let ask = query(format!("n{i}").as_bytes(), 1);
            cache.put(&ask, &reply(&ask, 10), now);
        }
        assert_eq!(cache.entries.len(), CAPACITY);
    }
}
