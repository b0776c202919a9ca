//! The directory `pki` of a cluster: opened once, renewed by a timer of its owner.

use crate::ca::{Ca, Issued, LEAF_SECS, Purpose, Subject};
use crate::clients::ClientCertificates;
use crate::files::{PkiError, Secrecy, make_dir, read, write};
use crate::kubeconfig::{Context, write_kubeconfig};
use crate::serving::{Serving, server_config};
use crate::signing::SigningKey;
use meta::Time;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What the serving certificate must be valid for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

/// Certificates and keys of one cluster.
pub struct Pki {
    dir: PathBuf,
    names: Names,
    ca: Ca,
    front_proxy: Ca,
    serving: Arc<Serving>,
    clients: ClientCertificates,
    proxies: ClientCertificates,
    signing: SigningKey,
    kubeconfigs: Mutex<Vec<Kubeconfig>>,
}

/// A kubeconfig that is written anew whenever the certificate in it is renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubeconfig {
    pub path: PathBuf,
    /// Of the context, cluster and user.
    pub name: String,
    /// `https://127.0.0.1:6443`
    pub server: String,
}

/// A leaf certificate kept in the directory.
struct Leaf {
    stem: &'static str,
    name: &'static str,
    groups: &'static [&'static str],
    /// Signed by the front proxy's authority instead of the cluster's.
    front_proxy: bool,
}

const CLIENTS: &[Leaf] = &[
    Leaf {
        stem: "admin",
        name: "kubernetes-admin",
        groups: &["system:masters"],
        front_proxy: false,
    },
    Leaf { stem: "front-proxy-client", name: "front-proxy-client", groups: &[], front_proxy: true },
    Leaf {
        stem: "apiserver-kubelet-client",
        name: "kube-apiserver-kubelet-client",
        groups: &["system:masters"],
        front_proxy: false,
    },
];

impl Names {
    /// Every name clients inside and outside the cluster use; `service_ip` is that of the Service `kubernetes`.
    pub fn standard(hostname: &str, listen: IpAddr, service_ip: IpAddr) -> Self {
        let mut names: Vec<String> = [
            "localhost",
            hostname,
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "127.0.0.1",
            "::1",
        ]
        .map(str::to_string)
        .into();
        names.push(service_ip.to_string());
        if !listen.is_unspecified() {
            names.push(listen.to_string());
        }
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| !name.is_empty() && seen.insert(name.clone()));
        Self(names)
    }
}

impl Pki {
    /// Opens `<data_dir>/pki`, making and renewing what is missing or about to expire.
    ///
    /// # Errors
    /// Names the file that cannot be read, written or understood.
    pub fn open(data_dir: &Path, names: Names, now: Time) -> Result<Self, PkiError> {
        let dir = data_dir.join("pki");
        make_dir(&dir)?;
        let ca = Ca::open(&dir, "ca", "kubernetes", now)?;
        let front_proxy = Ca::open(&dir, "front-proxy-ca", "front-proxy-ca", now)?;
        let path = dir.join("apiserver.crt");
        let issued = serving_certificate(&dir, &ca, &names, now)?;
        let serving = Serving::new(&issued).map_err(|e| PkiError::new(&path, e))?;
        let clients = ClientCertificates::new(&ca.certificate, &dir.join("ca.crt"))?;
        let proxies =
            ClientCertificates::new(&front_proxy.certificate, &dir.join("front-proxy-ca.crt"))?;
        let signing = SigningKey::open(&dir)?;
        let serving = Arc::new(serving);
        let kubeconfigs = Mutex::default();
        let pki =
            Self { dir, names, ca, front_proxy, serving, clients, proxies, signing, kubeconfigs };
        pki.renew_clients(now)?;
        Ok(pki)
    }

    /// Renews what has less than a third of its life left, swapping the serving certificate in place, and returns
    /// when to call this again.
    ///
    /// # Errors
    /// As [`Pki::open`]; what is in use stays in use.
    pub fn renew(&self, now: Time) -> Result<Time, PkiError> {
        let issued = serving_certificate(&self.dir, &self.ca, &self.names, now)?;
        let path = self.dir.join("apiserver.crt");
        self.serving.swap(&issued).map_err(|e| PkiError::new(&path, e))?;
        self.renew_clients(now)?;
        let kept = self.kubeconfigs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        kept.iter().try_for_each(|kubeconfig| self.write(kubeconfig, now))?;
        Ok(now.plus_secs(24 * 3600))
    }

    /// Writes the context of `kubernetes-admin` now and at every renewal.
    ///
    /// # Errors
    /// As [`write_kubeconfig`](crate::write_kubeconfig).
    pub fn keep_kubeconfig(&self, kubeconfig: Kubeconfig, now: Time) -> Result<(), PkiError> {
        self.write(&kubeconfig, now)?;
        self.kubeconfigs.lock().unwrap_or_else(PoisonError::into_inner).push(kubeconfig);
        Ok(())
    }

    fn write(&self, kubeconfig: &Kubeconfig, now: Time) -> Result<(), PkiError> {
        let Kubeconfig { path, name, server } = kubeconfig;
        let client = self.admin(now)?;
        write_kubeconfig(path, &Context { name, server, ca: self.ca(), client: &client })
    }

    fn renew_clients(&self, now: Time) -> Result<(), PkiError> {
        CLIENTS.iter().try_for_each(|leaf| self.client(leaf, now).map(|_| ()))
    }

    fn client(&self, leaf: &Leaf, now: Time) -> Result<Issued, PkiError> {
        let ca = if leaf.front_proxy { &self.front_proxy } else { &self.ca };
        let subject = Subject::new(leaf.name, leaf.groups);
        kept(
            &self.dir,
            leaf.stem,
            now,
            |_| true,
            || ca.issue(&subject, &Purpose::Client, now, LEAF_SECS),
        )
    }

    /// The certificate of `kubernetes-admin`, member of `system:masters`.
    ///
    /// # Errors
    /// As [`Pki::open`].
    pub fn admin(&self, now: Time) -> Result<Issued, PkiError> {
        self.client(&CLIENTS[0], now)
    }

    /// What the API server shows to extension servers, signed by the front proxy's authority.
    ///
    /// # Errors
    /// As [`Pki::open`].
    pub fn front_proxy_client(&self, now: Time) -> Result<Issued, PkiError> {
        self.client(&CLIENTS[1], now)
    }

    /// What the API server shows to nodes.
    ///
    /// # Errors
    /// As [`Pki::open`].
    pub fn kubelet_client(&self, now: Time) -> Result<Issued, PkiError> {
        self.client(&CLIENTS[2], now)
    }

    /// A certificate that is not kept: for a node, a proxy, a person.
    ///
    /// # Errors
    /// When a name is not valid in a certificate.
    pub fn issue(
        &self,
        subject: &Subject,
        purpose: &Purpose,
        now: Time,
    ) -> Result<Issued, PkiError> {
        self.ca
            .issue(subject, purpose, now, LEAF_SECS)
            .map_err(|e| PkiError::new(&self.dir.join("ca.key"), e))
    }

    /// Signs a PEM certificate signing request for use by a client (or by a server when `server`).
    ///
    /// # Errors
    /// When the request is malformed or asks for something the signer does not support.
    pub fn sign_request(
        &self,
        request: &str,
        purposes: &[&str],
        now: Time,
        seconds: i64,
    ) -> Result<String, PkiError> {
        use rcgen::ExtendedKeyUsagePurpose as Usage;
        let usage = |purpose: &&str| match *purpose {
            "client auth" => Some(Usage::ClientAuth),
            "server auth" => Some(Usage::ServerAuth),
            _ => None,
        };
        let usages = purposes.iter().filter_map(usage).collect();
        self.ca
            .sign_request(request, usages, now, seconds)
            .map_err(|e| PkiError::new(&self.dir.join("ca.key"), e))
    }

    /// The cluster's authority, PEM: what `kube-root-ca.crt` and kubeconfigs carry.
    pub fn ca(&self) -> &str {
        &self.ca.certificate
    }

    /// The authority of aggregated API calls, PEM.
    pub fn front_proxy_ca(&self) -> &str {
        &self.front_proxy.certificate
    }

    pub const fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    pub const fn clients(&self) -> &ClientCertificates {
        &self.clients
    }

    /// Verifies proxies in front of the API server, which speak for others (`--requestheader-client-ca-file`).
    pub const fn proxies(&self) -> &ClientCertificates {
        &self.proxies
    }

    /// For the API server's listener.
    ///
    /// # Errors
    /// When TLS cannot be configured.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, PkiError> {
        server_config(self.serving.clone(), &self.clients).map_err(|e| PkiError::new(&self.dir, e))
    }
}

fn serving_certificate(dir: &Path, ca: &Ca, names: &Names, now: Time) -> Result<Issued, PkiError> {
    let subject = Subject::new("kube-apiserver", &[]);
    let purpose = Purpose::Server(names.0.clone());
    let covers = |certificate: &X509Certificate<'_>| names.0.iter().all(|n| covers(certificate, n));
    kept(dir, "apiserver", now, covers, || ca.issue(&subject, &purpose, now, LEAF_SECS))
}

/// The certificate `<stem>.crt` with its key, issued anew when it is missing, unfit or old.
fn kept(
    dir: &Path,
    stem: &str,
    now: Time,
    fits: impl Fn(&X509Certificate<'_>) -> bool,
    issue: impl FnOnce() -> Result<Issued, rcgen::Error>,
) -> Result<Issued, PkiError> {
    let (crt, key) = (dir.join(format!("{stem}.crt")), dir.join(format!("{stem}.key")));
    if let (Some(certificate), Some(key)) = (read(&crt)?, read(&key)?)
        && fresh(&certificate, now, fits)
    {
        return Ok(Issued { certificate, key });
    }
    let issued = issue().map_err(|e| PkiError::new(&crt, e))?;
    write(&key, &issued.key, Secrecy::Private)?;
    write(&crt, &issued.certificate, Secrecy::Public)?;
    Ok(issued)
}

/// Whether more than a third of the certificate's life is left and it `fits`.
fn fresh(pem: &str, now: Time, fits: impl Fn(&X509Certificate<'_>) -> bool) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(pem.as_bytes()) else { return false };
    let Ok((_, certificate)) = X509Certificate::from_der(&der) else { return false };
    let validity = certificate.validity();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    until - now.secs() > (until - from) / 3 && fits(&certificate)
}

fn covers(certificate: &X509Certificate<'_>, name: &str) -> bool {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    names.value.general_names.iter().any(|known| match known {
        GeneralName::DNSName(dns) => *dns == name,
        GeneralName::IPAddress(bytes) => address(bytes).is_some_and(|ip| ip.to_string() == name),
        _ => false,
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
