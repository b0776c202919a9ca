//! Kubeconfig files: which cluster, as whom, in which namespace (client-go `tools/clientcmd`).

use crate::Error;
use crate::connect::Place;
use crate::tls::{self, Trust};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Uri};
use meta::Value;
use rustls_pki_types::ServerName;
use std::fs;
use std::path::{Path, PathBuf};

/// Files merged as client-go does: of two entries with one name the first counts.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    /// Where changes go: the first file.
    pub path: PathBuf,
    /// `apiVersion: v1, kind: Config`; file names in it are absolute.
    pub value: Value,
}

/// Where a cluster is and as whom to ask it.
#[derive(Clone)]
pub struct Target {
    /// `https://host:port` and perhaps a path before every request's own.
    pub server: String,
    pub namespace: String,
    pub context: String,
    pub user: String,
    pub(crate) place: Place,
    pub(crate) authority: String,
    pub(crate) prefix: String,
    pub(crate) headers: HeaderMap,
}

impl Kubeconfig {
    /// `$KUBECONFIG` (several files, separated by colons) or `~/.kube/config`.
    pub fn default_paths() -> Vec<PathBuf> {
        let set = std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty());
        match set {
            Some(paths) => std::env::split_paths(&paths).collect(),
            None => {
                std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect()
            }
        }
    }

    /// Reads and merges; a file that is not there counts as empty.
    ///
    /// # Errors
    /// When a file cannot be read or is no kubeconfig: the file and why.
    pub fn load(paths: &[PathBuf]) -> Result<Self, Error> {
        let mut merged = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "",
            "clusters": [], "users": [], "contexts": [],
        });
        for path in paths {
            if let Some(one) = read(path)? {
                merge(&mut merged, &one);
            }
        }
        Ok(Self { path: paths.first().cloned().unwrap_or_default(), value: merged })
    }

    pub fn current(&self) -> &str {
        self.value["current-context"].as_str().unwrap_or_default()
    }

    /// An entry of `clusters`, `users` or `contexts`: what is below the name.
    pub fn entry(&self, list: &str, name: &str) -> Option<&Value> {
        let entries = self.value.get(list)?.as_array()?;
        let entry = entries.iter().find(|entry| entry["name"] == name)?;
        entry.get(list.trim_end_matches('s'))
    }

    /// Who and where a context means; the current one when none is named.
    ///
    /// # Errors
    /// When something named is not there or cannot be used.
    pub fn target(&self, context: Option<&str>) -> Result<Target, Error> {
        let name = context.unwrap_or_else(|| self.current());
        if name.is_empty() {
            return Err(Error::Config(format!(
                "no current context in `{}`; is a cluster running? (`boxship up`)",
                self.path.display()
            )));
        }
        let missing = |what: &str, name: &str| {
            Error::Config(format!("{what} \"{name}\" does not exist in `{}`", self.path.display()))
        };
        let context = self.entry("contexts", name).ok_or_else(|| missing("context", name))?;
        let text = |key: &str| context[key].as_str().unwrap_or_default();
        let cluster = self
            .entry("clusters", text("cluster"))
            .ok_or_else(|| missing("cluster", text("cluster")))?;
        let user = match text("user") {
            "" => &Value::Null,
            user => self.entry("users", user).ok_or_else(|| missing("user", user))?,
        };
        let mut target = Target::new(cluster, user)?;
        target.context = name.into();
        target.user = text("user").into();
        if !text("namespace").is_empty() {
            target.namespace = text("namespace").into();
        }
        Ok(target)
    }
}

impl Target {
    /// From the members of a kubeconfig's cluster and user.
    ///
    /// # Errors
    /// What of it cannot be used.
    pub fn new(cluster: &Value, user: &Value) -> Result<Self, Error> {
        let server = cluster["server"].as_str().unwrap_or_default().to_owned();
        let bad = |why: &str| Error::Config(format!("server `{server}`: {why}"));
        let uri: Uri = server.parse().map_err(|e| bad(&format!("{e}")))?;
        let host = uri.host().ok_or_else(|| bad("there is no host in it"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        refuse_unsupported(cluster, user)?;
        let place = match uri.scheme_str() {
            Some("http") => Place::Tcp { host, port: uri.port_u16().unwrap_or(80) },
            Some("https") => {
                let verified = cluster["tls-server-name"].as_str().unwrap_or(&host).to_owned();
                let name = ServerName::try_from(verified).map_err(|e| bad(&e.to_string()))?;
                let config = tls::config(&trust(cluster, user)?).map_err(Error::Config)?;
                Place::Tls { host, port: uri.port_u16().unwrap_or(443), name, config }
            }
            _ => return Err(bad("it is neither http:// nor https://")),
        };
        Ok(Self {
            prefix: uri.path().trim_end_matches('/').to_owned(),
            server,
            namespace: "default".into(),
            context: String::new(),
            user: String::new(),
            place,
            authority,
            headers: headers(user)?,
        })
    }
}

/// What would have to be done and is not: said, not ignored.
fn refuse_unsupported(cluster: &Value, user: &Value) -> Result<(), Error> {
    for (place, key, why) in [
        (user, "exec", "credential plugins are not run"),
        (user, "auth-provider", "it left Kubernetes in v1.26"),
        (cluster, "proxy-url", "proxies are not used"),
    ] {
        if place.get(key).is_some_and(|v| !v.is_null()) {
            let hint = "use a token or a client certificate, or kubectl itself";
            return Err(Error::Config(format!("`{key}` in the kubeconfig: {why}; {hint}")));
        }
    }
    Ok(())
}

fn trust(cluster: &Value, user: &Value) -> Result<Trust, Error> {
    let client = match (pem(user, "client-certificate")?, pem(user, "client-key")?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            let why = "a client certificate needs its key, and the other way round";
            return Err(Error::Config(why.into()));
        }
    };
    let insecure = cluster["insecure-skip-tls-verify"].as_bool().unwrap_or(false);
    Ok(Trust { ca: pem(cluster, "certificate-authority")?, client, insecure })
}

/// `<key>-data` in base64, or the file `<key>` names.
fn pem(value: &Value, key: &str) -> Result<Option<Vec<u8>>, Error> {
    let data = format!("{key}-data");
    if let Some(text) = value[&data].as_str().filter(|text| !text.is_empty()) {
        let decoded = STANDARD.decode(text.trim());
        return Ok(Some(decoded.map_err(|e| Error::Config(format!("`{data}`: {e}")))?));
    }
    match value[key].as_str().filter(|path| !path.is_empty()) {
        Some(path) => {
            Ok(Some(fs::read(path).map_err(|e| Error::Config(format!("`{path}`: {e}")))?))
        }
        None => Ok(None),
    }
}

fn headers(user: &Value) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    let token = match (user["token"].as_str(), user["tokenFile"].as_str()) {
        (Some(token), _) => Some(token.to_owned()),
        (None, Some(path)) => {
            Some(fs::read_to_string(path).map_err(|e| Error::Config(format!("`{path}`: {e}")))?)
        }
        _ => None,
    };
    let basic = user["username"].as_str().map(|name| {
        let password = user["password"].as_str().unwrap_or_default();
        format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
    });
    if let Some(text) = token.map(|token| format!("Bearer {}", token.trim())).or(basic) {
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| Error::Config("the token is not a header's value".into()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn read(path: &Path) -> Result<Option<Value>, Error> {
    let bad = |why: String| Error::Config(format!("kubeconfig `{}`: {why}", path.display()));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(bad(e.to_string())),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    let mut value: Value = serde_saphyr::from_str(&text).map_err(|e| bad(e.to_string()))?;
    if !value.is_object() {
        return Err(bad("the top level is not a map".into()));
    }
    absolute(&mut value, path);
    Ok(Some(value))
}

const FILES: &[&str] = &["certificate-authority", "client-certificate", "client-key", "tokenFile"];

/// File names in a kubeconfig are relative to it.
fn absolute(value: &mut Value, path: &Path) {
    let dir = path.parent().unwrap_or(Path::new("."));
    for (list, member) in [("clusters", "cluster"), ("users", "user")] {
        let entries = value.get_mut(list).and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten() {
            for key in FILES {
                let named = entry.get_mut(member).and_then(|member| member.get_mut(key));
                if let Some(Value::String(file)) = named
                    && !file.is_empty()
                {
                    *file = dir.join(&file).to_string_lossy().into_owned();
                }
            }
        }
    }
}

fn merge(into: &mut Value, one: &Value) {
    for list in ["clusters", "users", "contexts"] {
        let Some(more) = one.get(list).and_then(Value::as_array) else { continue };
        let Some(known) = into[list].as_array_mut() else { continue };
        for entry in more {
            if !known.iter().any(|k| k["name"] == entry["name"]) {
                known.push(entry.clone());
            }
        }
    }
    if into["current-context"] == ""
        && let Some(current) = one.get("current-context").filter(|c| c.is_string())
    {
        into["current-context"] = current.clone();
    }
}
