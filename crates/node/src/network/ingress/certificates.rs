//! Secrets that Ingresses name, as certificates of the proxy.

use ingress::{Certificate, Certificates};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::Ingress;
use std::sync::Arc;
use store::View;
use typed::Read;

/// What the certificates of the moment were made from; dropped, they are made again.
#[derive(Default)]
pub(super) struct Loaded(Vec<Source>);

#[derive(Clone, PartialEq, Eq)]
struct Source {
    host: String,
    namespace: String,
    secret: String,
    /// `None` while there is no such Secret.
    version: Option<String>,
}

impl Loaded {
    /// New certificates when an Ingress or a Secret asks for them.
    pub fn refresh(&mut self, view: &View, ours: &[Arc<Ingress>]) -> Option<Certificates> {
        let sources: Vec<Source> = ours.iter().flat_map(|i| sources(view, i)).collect();
        if self.0 == sources {
            return None;
        }
        let mut fresh = Certificates::default();
        for source in sources.iter().filter(|s| s.version.is_some()) {
            match load(view, source) {
                Ok(certificate) => fresh.insert(&source.host, certificate),
                Err(why) => {
                    let Source { namespace, secret, .. } = source;
                    tracing::warn!(%why, "Secret {namespace}/{secret} gives no certificate");
                }
            }
        }
        self.0 = sources;
        Some(fresh)
    }
}

fn sources(view: &View, ingress: &Ingress) -> Vec<Source> {
    let namespace = ingress.metadata.namespace.clone().unwrap_or_default();
    let mut out = Vec::new();
    for tls in ingress.spec.iter().flat_map(|s| s.tls.iter().flatten()) {
        let Some(secret) = &tls.secret_name else { continue };
        let object = view.read::<Secret>(&namespace, secret);
        let version = object.and_then(|s| s.metadata.resource_version.clone());
        let hosts = tls.hosts.clone().filter(|hosts| !hosts.is_empty());
        out.extend(hosts.unwrap_or_else(|| vec![String::new()]).into_iter().map(|host| Source {
            host,
            namespace: namespace.clone(),
            secret: secret.clone(),
            version: version.clone(),
        }));
    }
    out
}

fn load(view: &View, source: &Source) -> Result<Certificate, String> {
    let secret = view.read::<Secret>(&source.namespace, &source.secret).ok_or("it is gone")?;
    let entry = |key: &str| {
        let data = secret.data.as_ref().and_then(|data| data.get(key));
        data.map(|bytes| bytes.0.as_slice()).ok_or(format!("it has no {key}"))
    };
    Certificate::from_pem(entry("tls.crt")?, entry("tls.key")?).map_err(|e| e.to_string())
}
