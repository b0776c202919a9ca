//! The RSA key that signs service-account tokens (`sa.key`, `sa.pub`).
//!
//! Making one takes some hundred milliseconds, so first start does it on a thread of its own while the
//! server already answers; nothing but the first token waits for it.

use crate::files::{PkiError, Secrecy, read, write};
use base64::Engine;
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

const BITS: usize = 2048;

/// The key, now or soon.
#[derive(Clone)]
pub struct SigningKey(Arc<Slot>);

#[derive(Default)]
struct Slot {
    key: OnceLock<Result<Vec<u8>, String>>,
    done: Mutex<bool>,
    waiting: Condvar,
}

impl SigningKey {
    /// Reads `sa.key`; when there is none, starts making one.
    pub(crate) fn open(dir: &Path) -> Result<Self, PkiError> {
        let path = dir.join("sa.key");
        let slot = Arc::new(Slot::default());
        match read(&path)? {
            Some(pem) => slot.fill(Ok(from_pem(&pem).map_err(|e| PkiError::new(&path, e))?)),
            None => {
                let (slot, dir) = (slot.clone(), dir.to_path_buf());
                std::thread::Builder::new()
                    .name("sa-key".into())
                    .stack_size(256 * 1024)
                    .spawn(move || slot.fill(make(&dir)))
                    .map_err(|e| PkiError::new(&path, e))?;
            }
        }
        Ok(Self(slot))
    }

    /// PKCS#8 DER, when it is there already.
    pub fn ready(&self) -> Option<Result<&[u8], &str>> {
        self.0.key.get().map(|key| key.as_deref().map_err(String::as_str))
    }

    /// PKCS#8 DER; blocks while the key is being made.
    ///
    /// # Errors
    /// When it could not be made or kept.
    pub fn wait(&self) -> Result<&[u8], &str> {
        let done = self.0.done.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.0.waiting.wait_while(done, |done| !*done);
        drop(held.unwrap_or_else(PoisonError::into_inner));
        self.ready().expect("filled before it is marked done")
    }
}

impl Slot {
    fn fill(&self, key: Result<Vec<u8>, String>) {
        let _ = self.key.set(key);
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.waiting.notify_all();
    }
}

fn make(dir: &Path) -> Result<Vec<u8>, String> {
    let file = |name: &str| -> PathBuf { dir.join(name) };
    let text = |e: &dyn std::fmt::Display| format!("making the token signing key: {e}");
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, BITS).map_err(|e| text(&e))?;
    let der = key.to_pkcs8_der().map_err(|e| text(&e))?;
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|e| text(&e))?;
    let public = key.to_public_key().to_public_key_pem(LineEnding::LF).map_err(|e| text(&e))?;
    write(&file("sa.key"), &pem, Secrecy::Private).map_err(|e| text(&e))?;
    write(&file("sa.pub"), &public, Secrecy::Public).map_err(|e| text(&e))?;
    Ok(der.as_bytes().to_vec())
}

fn from_pem(pem: &str) -> Result<Vec<u8>, String> {
    let body = pem.trim().strip_prefix("-----BEGIN PRIVATE KEY-----");
    let body = body.and_then(|b| b.strip_suffix("-----END PRIVATE KEY-----"));
    let body = body.ok_or("is not a PKCS#8 private key in PEM")?;
    let compact: String = body.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(compact).map_err(|e| e.to_string())
}
