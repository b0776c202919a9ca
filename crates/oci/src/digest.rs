//! Content digests: `sha256:<64 hex>` and `sha512:<128 hex>`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::sync::Arc;

/// The hash functions a digest may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    /// The name before the colon, and the folder under `blobs/`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// Why a text is not a digest. Texts follow go-digest's `digest.go`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestError {
    Format,
    Length,
    Unsupported,
}

impl fmt::Display for DigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "invalid checksum digest format",
            Self::Length => "invalid checksum digest length",
            Self::Unsupported => "unsupported digest algorithm",
        })
    }
}

impl std::error::Error for DigestError {}

/// A validated digest; cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(Arc<str>);

impl Digest {
    /// The sha256 digest of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }

    /// From 64 lower-case hexadecimal characters.
    pub fn from_sha256_hex(hex: &str) -> Result<Self, DigestError> {
        format!("sha256:{hex}").parse()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn algorithm(&self) -> Algorithm {
        if self.0.starts_with("sha512") { Algorithm::Sha512 } else { Algorithm::Sha256 }
    }

    /// The part behind the colon.
    pub fn hex(&self) -> &str {
        &self.0[self.algorithm().name().len() + 1..]
    }

    /// The first 12 hexadecimal characters, as users see them.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, hex) = text.split_once(':').ok_or(DigestError::Format)?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            "" => return Err(DigestError::Format),
            _ => return Err(DigestError::Unsupported),
        };
        if hex.len() != algorithm.hex_len() {
            return Err(DigestError::Length);
        }
        if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(DigestError::Format);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(|e| serde::de::Error::custom(format!("{e}: {text:?}")))
    }
}

/// Hashes a stream into a [`Digest`].
#[derive(Debug, Clone)]
pub enum Hasher {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(h) => h.update(bytes),
            Self::Sha512(h) => h.update(bytes),
        }
    }

    pub fn finish(self) -> Digest {
        match self {
            Self::Sha256(h) => digest_text(Algorithm::Sha256, &h.finalize()),
            Self::Sha512(h) => digest_text(Algorithm::Sha512, &h.finalize()),
        }
    }
}

fn digest_text(algorithm: Algorithm, sum: &[u8]) -> Digest {
    let mut text = String::with_capacity(8 + sum.len() * 2);
    text.push_str(algorithm.name());
    text.push(':');
    for byte in sum {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
    Digest(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums_and_parts() {
        let d = Digest::sha256(b"");
        assert_eq!(
            d.as_str(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(d.short(), "e3b0c44298fc");
        let mut h = Hasher::new(Algorithm::Sha512);
        h.update(b"");
        assert!(h.finish().hex().starts_with("cf83e1357eefb8bd"));
    }

    #[test]
    fn refuses_what_is_not_a_digest() {
        let rows = [
            ("", DigestError::Format),
            ("sha256", DigestError::Format),
            ("sha256:abc", DigestError::Length),
            ("md5:d41d8cd98f00b204e9800998ecf8427e", DigestError::Unsupported),
            (&format!("sha256:{}", "A".repeat(64)), DigestError::Format),
            (&format!("sha256:{}", "é".repeat(32)), DigestError::Format),
            (&format!("sha256:../{}", "a".repeat(61)), DigestError::Format),
        ];
        for (text, want) in rows {
            assert_eq!(text.parse::<Digest>(), Err(want), "{text}");
        }
    }
}
