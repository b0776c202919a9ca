//! Credentials for a registry, from callers, docker's config file or its helpers.

use crate::{Error, Result};
use base64::Engine as _;
use serde::Deserialize;
use std::collections::BTreeMap;

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

/// Docker's `config.json`, also as Kubernetes' image pull secrets carry it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DockerConfig {
    pub auths: BTreeMap<String, Credentials>,
    #[serde(rename = "credsStore")]
    pub creds_store: String,
    #[serde(rename = "credHelpers")]
    pub cred_helpers: BTreeMap<String, String>,
}

impl DockerConfig {
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|e| Error::invalid(format!("docker's config.json is not valid: {e}")))
    }

    /// The stored credentials for an image: the longest key that is the registry, or the registry
    /// with a leading part of the path.
    pub fn lookup(&self, domain: &str, path: &str) -> Result<Option<Credentials>> {
        let full = format!("{domain}/{path}");
        let mut best: Option<(usize, &Credentials)> = None;
        for (key, credentials) in &self.auths {
            let key = plain_key(key);
            let fits = full.strip_prefix(&key).is_some_and(|rest| rest.starts_with('/'));
            if fits && best.is_none_or(|(length, _)| key.len() > length) {
                best = Some((key.len(), credentials));
            }
        }
        best.map(|(_, credentials)| credentials.clone().normalized()).transpose()
    }

    fn helper(&self, domain: &str) -> Option<&str> {
        let of_registry = self.cred_helpers.get(domain).map(String::as_str);
        of_registry.or(Some(self.creds_store.as_str())).filter(|name| !name.is_empty())
    }
}

/// `https://index.docker.io/v1/` and its like are `docker.io`.
fn plain_key(key: &str) -> String {
    let bare = key.strip_prefix("https://").or(key.strip_prefix("http://")).unwrap_or(key);
    let bare = bare.trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or(bare.strip_suffix("/v2")).unwrap_or(bare);
    match bare {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".into(),
        other => other.into(),
    }
}

/// What a credential helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

/// Credentials of the user this process runs as: `$DOCKER_CONFIG/config.json`, helpers included.
pub(super) async fn of_docker(domain: &str) -> Result<Credentials> {
    let domain = domain.to_owned();
    super::pull::blocking(move || {
        let home = || std::env::var_os("HOME").map(|h| std::path::Path::new(&h).join(".docker"));
        let folder = std::env::var_os("DOCKER_CONFIG").map(Into::into).or_else(home);
        let Some(bytes) = folder.and_then(|f| std::fs::read(f.join("config.json")).ok()) else {
            return Ok(Credentials::default());
        };
        let config = DockerConfig::parse(&bytes)?;
        if let Some(name) = config.helper(&domain)
            && let Some(found) = ask_helper(name, &domain)?
        {
            return Ok(found);
        }
        Ok(config.lookup(&domain, "")?.unwrap_or_default())
    })
    .await
}

/// Runs `docker-credential-NAME get`. Upstream: docker-credential-helpers `client/client.go`.
fn ask_helper(name: &str, domain: &str) -> Result<Option<Credentials>> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(Error::invalid(format!("invalid credential helper {name:?}")));
    }
    let server = if domain == "docker.io" { "https://index.docker.io/v1/" } else { domain };
    let program = format!("docker-credential-{name}");
    let failed = |e: std::io::Error| Error {
        source: Some(e),
        ..Error::internal(format!("cannot run {program}"))
    };
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(server.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        // "credentials not found in native keychain" and the like: anonymous then.
        return Ok(None);
    }
    let helped: Helped = serde_json::from_slice(&output.stdout)
        .map_err(|e| Error::internal(format!("{program} answered nonsense: {e}")))?;
    Ok(Some(match helped.username.as_str() {
        "<token>" => Credentials { identity_token: helped.secret, ..Credentials::default() },
        _ => Credentials {
            username: helped.username,
            password: helped.secret,
            ..Credentials::default()
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_headers_and_config() {
        assert!(Credentials::from_header("e30=").unwrap().is_anonymous());
        assert!(Credentials::from_header("").unwrap().is_anonymous());
        assert!(Credentials::from_header("!").is_err());
        let config = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpwOnE="},
            "reg.example:5000":{"username":"a","password":"b"},
            "reg.example:5000/team":{"identitytoken":"t"}},"credHelpers":{"gcr.io":"gcloud"}}"#;
        let config = DockerConfig::parse(config.as_bytes()).unwrap();
        let find = |d, p| config.lookup(d, p).unwrap().unwrap_or_default();
        assert_eq!(find("docker.io", "library/x").password, "p:q");
        assert_eq!(find("reg.example:5000", "x").username, "a");
        assert_eq!(find("reg.example:5000", "team/x").identity_token, "t");
        assert_eq!(config.lookup("other", "x").unwrap(), None);
        assert_eq!(config.helper("gcr.io"), Some("gcloud"));
        assert_eq!(config.helper("x"), None);
        assert!(ask_helper("../evil", "x").is_err());
    }
}
