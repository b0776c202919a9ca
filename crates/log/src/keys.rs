//! Keys that seal records at rest.

use crate::disk::{Disk, replace};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt::Write;
use std::io::{self, Read};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// File in the log's directory, mode 0600. A header line, then `ID HEX` (a 256-bit key) per line; the last
/// one seals, all of them open.
pub(crate) const FILE: &str = "secrets.key";
const FIRST_LINE: &str = "boxship-keys 1";

/// AES-256-GCM keys by id. Clones share them.
#[derive(Clone)]
pub struct Keys {
    ring: Arc<RwLock<Vec<Key>>>,
}

#[derive(Clone)]
struct Key {
    id: u32,
    secret: [u8; 32],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys().iter().map(|key| key.id)).finish()
    }
}

impl Keys {
    /// One fresh key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> io::Result<Self> {
        Ok(Self { ring: Arc::new(RwLock::new(vec![fresh()?])) })
    }

    /// From the text of a key file.
    ///
    /// # Errors
    /// Which line is not as it should be (its content is not repeated).
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(format!("the first line is not {FIRST_LINE:?}"));
        }
        let keys: Option<Vec<Key>> = lines.map(parse_line).collect();
        match keys {
            Some(keys) if !keys.is_empty() => Ok(Self { ring: Arc::new(RwLock::new(keys)) }),
            _ => Err("a line is not an id and a key of 64 hexadecimal digits".into()),
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut out = format!("{FIRST_LINE}\n");
        for key in self.keys().iter() {
            let _ = write!(out, "{} ", key.id);
            key.secret.iter().for_each(|byte| {
                let _ = write!(out, "{byte:02x}");
            });
            out.push('\n');
        }
        out
    }

    /// The key file of `disk`; made when there is none.
    pub(crate) fn load<D: Disk>(disk: &D) -> io::Result<Self> {
        if !disk.names()?.iter().any(|name| name == FILE) {
            let keys = Self::generate()?;
            keys.save(disk)?;
            return Ok(keys);
        }
        let mut text = String::new();
        disk.read(FILE, 0)?.read_to_string(&mut text)?;
        Self::parse(&text).map_err(|cause| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {cause}", disk.place(FILE)))
        })
    }

    pub(crate) fn save<D: Disk>(&self, disk: &D) -> io::Result<()> {
        replace(disk, FILE, self.text().as_bytes())
    }

    /// Adds a fresh key that seals from now on.
    pub(crate) fn add(&self) -> io::Result<()> {
        let key = fresh()?;
        self.ring.write().unwrap_or_else(PoisonError::into_inner).push(key);
        Ok(())
    }

    /// Forgets every key but the one that seals.
    pub(crate) fn retire(&self) {
        let mut keys = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let old = keys.len().saturating_sub(1);
        keys.drain(..old);
    }

    /// Forgets the newest key, which could not be saved.
    pub(crate) fn withdraw(&self) {
        self.ring.write().unwrap_or_else(PoisonError::into_inner).pop();
    }

    fn keys(&self) -> RwLockReadGuard<'_, Vec<Key>> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends key id, nonce and ciphertext with its tag.
    pub(crate) fn seal(&self, about: &[u8], plain: Vec<u8>, out: &mut Vec<u8>) {
        let key = self.keys().last().expect("there always is a key").clone();
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).expect("the kernel's randomness does not run out");
        let mut sealed = plain;
        aead(&key)
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(about),
                &mut sealed,
            )
            .expect("records are far below the limit of AES-GCM");
        out.extend_from_slice(&key.id.to_le_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
    }

    /// What [`Keys::seal`] was given, or why it cannot be had.
    pub(crate) fn open(&self, about: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
        let parts = sealed.split_first_chunk::<4>().and_then(|(id, rest)| {
            let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
            Some((u32::from_le_bytes(*id), *nonce, rest))
        });
        let (id, nonce, rest) = parts.ok_or("a sealed record is too short")?;
        let known = self.keys().iter().find(|key| key.id == id).cloned();
        let key = known
            .ok_or_else(|| format!("it is sealed with key {id}, which {FILE} does not have"))?;
        let mut plain = rest.to_vec();
        let length = aead(&key)
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(about), &mut plain)
            .map_err(|_| {
                format!("key {id} does not open a sealed record: the key or the record was changed")
            })?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

fn aead(key: &Key) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, &key.secret).expect("a key of 32 bytes");
    LessSafeKey::new(key)
}

fn fresh() -> io::Result<Key> {
    let (mut id, mut secret) = ([0; 4], [0; 32]);
    let random = SystemRandom::new();
    random
        .fill(&mut id)
        .and_then(|()| random.fill(&mut secret))
        .map_err(|_| io::Error::other("the kernel gives no randomness"))?;
    Ok(Key { id: u32::from_le_bytes(id), secret })
}

fn parse_line(line: &str) -> Option<Key> {
    let (id, hex) = line.split_once(' ')?;
    let mut secret = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (i, byte) in secret.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(Key { id: id.parse().ok()?, secret })
}
