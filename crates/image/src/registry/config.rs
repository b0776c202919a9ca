//! The one configuration file about registries: mirrors, insecure registries, extra CAs.
//!
//! JSON, by default `registries.json` in the data directory:
//!
//! ```json
//! {
//!   "registries": {
//!     "docker.io": { "mirrors": ["http://127.0.0.1:5000", "https://mirror.example"] },
//!     "registry.lan:5000": { "insecure": true },
//!     "registry.corp": { "ca": ["/etc/ssl/corp.pem"] },
//!     "*": { "mirrors": ["https://cache.corp/v2/all"] }
//!   }
//! }
//! ```
//!
//! Mirrors are tried in order, then the registry itself. A mirror may carry a path prefix; it is
//! put in front of the repository. `insecure` allows plain HTTP and unverified certificates.
//! Loopback registries are insecure without being listed, as Docker has it.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistriesConfig {
    /// Key: the domain of references (`docker.io`, `host:port`), or `*` for all others.
    #[serde(default)]
    pub registries: BTreeMap<String, RegistryConfig>,
}

/// One registry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryConfig {
    /// Base URLs; without a scheme, `https://`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// PEM files trusted in addition to the host's bundle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ca: Vec<PathBuf>,
}

impl RegistriesConfig {
    /// Reads the file; a missing file is an empty configuration.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => {
                return Err(Error::internal(format!("cannot read {}: {e}", path.display())));
            }
        };
        serde_json::from_slice(&text)
            .map_err(|e| Error::invalid(format!("{} is not valid: {e}", path.display())))
    }

    /// What is configured for `domain`; the `*` entry otherwise.
    pub fn of(&self, domain: &str) -> RegistryConfig {
        self.registries
            .get(domain)
            .or_else(|| self.registries.get("*"))
            .cloned()
            .unwrap_or_default()
    }
}
