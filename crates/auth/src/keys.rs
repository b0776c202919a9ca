//! The keys that sign and verify service-account tokens, and the documents that publish them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use meta::Value;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};
use serde_json::json;
use std::fmt;

/// One signing key, and every key whose tokens are still accepted.
pub struct TokenKeys {
    /// `iss` of the tokens, and the only one accepted.
    pub issuer: String,
    /// Audiences of the API server itself: what a token must carry to be used here.
    pub audiences: Vec<String>,
    signer: KeyPair,
    verifiers: Vec<VerifyKey>,
}

/// A public RSA key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyKey {
    /// Base64url of the SHA-256 of the key's SubjectPublicKeyInfo, as upstream computes it.
    pub kid: String,
    n: Vec<u8>,
    e: Vec<u8>,
}

/// The private key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyError(pub String);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service-account signing key: {}", self.0)
    }
}

impl std::error::Error for KeyError {}

impl TokenKeys {
    /// `pkcs8` is the DER of an RSA private key; `older` are further keys whose tokens stay valid.
    ///
    /// # Errors
    /// When the DER is not an RSA key of 2048 to 4096 bits.
    pub fn new(issuer: &str, pkcs8: &[u8], older: Vec<VerifyKey>) -> Result<Self, KeyError> {
        let signer = KeyPair::from_pkcs8(pkcs8).map_err(|e| KeyError(e.to_string()))?;
        let mut verifiers = vec![VerifyKey::of(&signer)];
        verifiers.extend(older);
        let audiences = vec![issuer.to_string()];
        Ok(Self { issuer: issuer.into(), audiences, signer, verifiers })
    }

    /// The key new tokens are signed with.
    pub fn kid(&self) -> &str {
        &self.verifiers[0].kid
    }

    pub fn verifier(&self) -> &VerifyKey {
        &self.verifiers[0]
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.signer.public().modulus_len()];
        let random = ring::rand::SystemRandom::new();
        self.signer
            .sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
            .expect("the buffer has the modulus' length");
        signature
    }

    /// Whether one of the keys made `signature`; a `kid` narrows the choice to that key.
    pub(crate) fn verifies(&self, kid: &str, message: &[u8], signature: &[u8]) -> bool {
        let known = self.verifiers.iter().filter(|key| kid.is_empty() || key.kid == kid);
        known.into_iter().any(|key| key.verifies(message, signature))
    }

    /// `/.well-known/openid-configuration`.
    pub fn discovery(&self, jwks_uri: &str) -> Value {
        json!({
            "issuer": self.issuer,
            "jwks_uri": jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    }

    /// `/openid/v1/jwks`.
    pub fn jwks(&self) -> Value {
        let keys: Vec<_> = self.verifiers.iter().map(VerifyKey::to_jwk).collect();
        json!({ "keys": keys })
    }
}

impl VerifyKey {
    fn of(pair: &KeyPair) -> Self {
        let parts: PublicKeyComponents<Vec<u8>> = PublicKeyComponents::from(pair.public());
        let digest = ring::digest::digest(&ring::digest::SHA256, &spki(pair.public().as_ref()));
        Self { kid: URL_SAFE_NO_PAD.encode(digest), n: parts.n, e: parts.e }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = PublicKeyComponents { n: &self.n, e: &self.e };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
    }

    fn to_jwk(&self) -> Value {
        json!({
            "use": "sig",
            "kty": "RSA",
            "kid": self.kid,
            "alg": "RS256",
            "n": URL_SAFE_NO_PAD.encode(&self.n),
            "e": URL_SAFE_NO_PAD.encode(&self.e),
        })
    }
}

/// Wraps a PKCS#1 RSA public key into a SubjectPublicKeyInfo (RFC 5280 section 4.1).
fn spki(pkcs1: &[u8]) -> Vec<u8> {
    const RSA: &[u8] =
        &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let mut bits = vec![0];
    bits.extend_from_slice(pkcs1);
    let bits = der(0x03, &bits);
    der(0x30, &[RSA, &bits].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let skip = length.iter().take_while(|b| **b == 0).count();
            out.push(0x80 | u8::try_from(length.len() - skip).expect("at most 8 bytes"));
            out.extend_from_slice(&length[skip..]);
        }
    }
    out.extend_from_slice(content);
    out
}
