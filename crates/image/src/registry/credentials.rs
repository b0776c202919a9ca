//! Credentials for a registry, from callers, docker's config file or its helpers.

use crate::{Error, Result};
use base64::Engine as _;
use serde::Deserialize;

/// As Docker's `X-Registry-Auth` and CRI's `AuthConfig` carry them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Credentials {
    pub username: String,
    pub password: String,
    /// `base64(username:password)`, an alternative to the two.
    pub auth: String,
    /// An OAuth refresh token.
    #[serde(rename = "identitytoken", alias = "identityToken")]
    pub identity_token: String,
    /// A bearer token, sent as it is.
    #[serde(rename = "registrytoken", alias = "registryToken")]
    pub registry_token: String,
    #[serde(rename = "serveraddress", alias = "serverAddress")]
    pub server_address: String,
}

impl Credentials {
    /// Decodes the header `X-Registry-Auth` (base64url of JSON, padded or not).
    pub fn from_header(value: &str) -> Result<Self> {
        let text = value.trim().trim_end_matches('=').replace('+', "-").replace('/', "_");
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|e| Error::invalid(format!("invalid X-Registry-Auth header: {e}")))?;
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let parsed: Self = serde_json::from_slice(&bytes)
            .map_err(|e| Error::invalid(format!("invalid X-Registry-Auth header: {e}")))?;
        parsed.normalized()
    }

    /// Splits `auth` into name and password.
    pub fn normalized(mut self) -> Result<Self> {
        if self.username.is_empty() && !self.auth.is_empty() {
            let decoded = base64::engine::general_purpose::STANDARD
                .decode(self.auth.trim())
                .ok()
                .and_then(|b| String::from_utf8(b).ok())
                .ok_or_else(|| Error::invalid("invalid auth configuration file"))?;
            let (user, password) = decoded
                .split_once(':')
                .ok_or_else(|| Error::invalid("invalid auth configuration file"))?;
            self.username = user.into();
            self.password = password.trim_end_matches('\0').into();
        }
        self.auth.clear();
        Ok(self)
    }

    pub fn is_anonymous(&self) -> bool {
        self.username.is_empty() && self.identity_token.is_empty() && self.registry_token.is_empty()
    }
}
