//! What a backup needs besides the objects: the keys that open its Secrets, and the cluster's certificates.

use serde_json::{Map, Value};
use std::fs;
use std::io::Write;
use std::path::Path;

/// File names below the data directory with their texts.
pub struct Bundle(Map<String, Value>);

/// The keys of encrypted records.
const SECRETS: &str = "store/secrets.key";
const PKI: &str = "pki";

impl Bundle {
    /// From a data directory.
    pub fn collect(dir: &Path) -> Result<Self, String> {
        let mut files = Map::new();
        let mut add = |name: String| {
            let path = dir.join(&name);
            let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            files.insert(name, text.into());
            Ok::<(), String>(())
        };
        add(SECRETS.into())?;
        let pki = dir.join(PKI);
        let entries = fs::read_dir(&pki).map_err(|e| format!("{}: {e}", pki.display()))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_key_material(&name) {
                add(format!("{PKI}/{name}"))?;
            }
        }
        Ok(Self(files))
    }

    pub fn read(path: &Path) -> Result<Self, String> {
        let fail = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let text = fs::read(path).map_err(|e| fail(&e))?;
        let files: Map<String, Value> = serde_json::from_slice(&text).map_err(|e| fail(&e))?;
        let known = |name: &String| {
            let pki = name.strip_prefix("pki/").is_some_and(is_key_material);
            name == SECRETS || pki
        };
        match files.iter().find(|(name, text)| !known(name) || !text.is_string()) {
            Some((name, _)) => Err(fail(&format!("{name:?} does not belong there"))),
            None => Ok(Self(files)),
        }
    }

    pub fn write(&self, path: &Path) -> Result<(), String> {
        let text = Value::Object(self.0.clone()).to_string();
        let written = super::private(path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|e| format!("{}: {e}", path.display()))
    }

    /// The keys of encrypted records.
    pub fn secrets(&self) -> Result<log::Keys, String> {
        log::Keys::parse(self.0.get(SECRETS).and_then(Value::as_str).unwrap_or_default())
    }

    /// Writes the certificates; the other keys are the log's to write.
    pub fn unpack(&self, dir: &Path) -> Result<(), String> {
        let pki = dir.join(PKI);
        fs::create_dir_all(&pki).map_err(|e| format!("{}: {e}", pki.display()))?;
        for (name, text) in self.0.iter().filter(|(name, _)| *name != SECRETS) {
            let (path, text) = (dir.join(name), text.as_str().unwrap_or_default());
            let written =
                super::private(&path).and_then(|mut file| file.write_all(text.as_bytes()));
            written.map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok(())
    }
}

/// `ca.crt`, `sa.key`, `sa.pub`: a plain name, so that a bundle cannot write elsewhere.
fn is_key_material(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    plain && [".crt", ".key", ".pub"].iter().any(|end| name.ends_with(end))
}
