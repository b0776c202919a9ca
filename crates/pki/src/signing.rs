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
const CURRENT: &str = "sa.key";
const OLDER: &str = "sa-old.key";

/// The key, now or soon.
#[derive(Clone)]
pub struct SigningKey(Arc<Slot>);

#[derive(Default)]
struct Slot {
    /// The key before this one, whose tokens are still good.
    older: Option<Vec<u8>>,
    key: OnceLock<Result<Vec<u8>, String>>,
    done: Mutex<bool>,
    waiting: Condvar,
}

impl SigningKey {
    /// Reads `sa.key`; when there is none, starts making one.
    pub(crate) fn open(dir: &Path) -> Result<Self, PkiError> {
        let path = dir.join(CURRENT);
        let slot = Arc::new(Slot { older: der(&dir.join(OLDER))?, ..Slot::default() });
        match der(&path)? {
            Some(key) => slot.fill(Ok(key)),
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

    /// PKCS#8 DER of the key before the last rotation.
    pub fn older(&self) -> Option<&[u8]> {
        self.0.older.as_deref()
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

/// Makes a fresh key the signing one in `<data_dir>/pki` and keeps the one before it, forgetting any older. A
/// running server reads them with [`SigningKey::read`].
///
/// # Errors
/// When a key cannot be read, made or written; the key in use stays in use.
pub fn rotate_signing_key(data_dir: &Path) -> Result<(), PkiError> {
    let dir = data_dir.join("pki");
    let path = dir.join(CURRENT);
    let Some(current) = read(&path)? else {
        return Err(PkiError::new(&path, "there is no signing key yet"));
    };
    write(&dir.join(OLDER), &current, Secrecy::Private)?;
    make(&dir).map(drop).map_err(|e| PkiError::new(&path, e))
}

impl SigningKey {
    /// The keys as they are in `<data_dir>/pki` now.
    ///
    /// # Errors
    /// When one cannot be read or understood.
    pub fn read(data_dir: &Path) -> Result<Self, PkiError> {
        Self::open(&data_dir.join("pki"))
    }
}

fn der(path: &Path) -> Result<Option<Vec<u8>>, PkiError> {
    let pem = read(path)?;
    pem.map(|pem| from_pem(&pem).map_err(|e| PkiError::new(path, e))).transpose()
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
