//! One certificate authority: an ECDSA P-256 key and a self-signed certificate of ten years.

use crate::files::{PkiError, Secrecy, read, write};
use meta::Time;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use std::path::Path;
use time::OffsetDateTime;

const CA_SECS: i64 = 10 * 365 * 24 * 3600;
/// Leaf certificates: one year, renewed when a third of it is left.
pub const LEAF_SECS: i64 = 365 * 24 * 3600;
/// Clients whose clock is somewhat behind accept a fresh certificate.
const BACKDATE_SECS: i64 = 3600;

/// What a certificate is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// For these DNS names and IP addresses.
    Server(Vec<String>),
    Client,
}

/// CN and O of a certificate: user name and groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    pub name: String,
    pub groups: Vec<String>,
}

/// A certificate and its private key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Subject {
    pub fn new(name: &str, groups: &[&str]) -> Self {
        Self { name: name.into(), groups: groups.iter().map(|g| (*g).to_string()).collect() }
    }

    fn to_name(&self) -> DistinguishedName {
        let mut out = DistinguishedName::new();
        for group in &self.groups {
            out.push(DnType::OrganizationName, group.as_str());
        }
        out.push(DnType::CommonName, self.name.as_str());
        out
    }
}

/// Signs certificates of clients and servers.
pub struct Ca {
    /// PEM.
    pub certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// Reads `<stem>.crt` and `<stem>.key`, or makes them when neither exists.
    pub fn open(dir: &Path, stem: &str, name: &str, now: Time) -> Result<Self, PkiError> {
        let (crt, key) = (dir.join(format!("{stem}.crt")), dir.join(format!("{stem}.key")));
        match (read(&crt)?, read(&key)?) {
            (Some(certificate), Some(text)) => {
                let pair = KeyPair::from_pem(&text).map_err(|e| PkiError::new(&key, e))?;
                Self::load(certificate, pair).map_err(|e| PkiError::new(&crt, e))
            }
            (None, None) => {
                let (ca, text) = Self::make(name, now).map_err(|e| PkiError::new(&crt, e))?;
                write(&key, &text, Secrecy::Private)?;
                write(&crt, &ca.certificate, Secrecy::Public)?;
                Ok(ca)
            }
            (Some(_), None) => Err(PkiError::new(&key, "is missing, but its certificate exists")),
            (None, Some(_)) => Err(PkiError::new(&crt, "is missing, but its key exists")),
        }
    }

    fn load(certificate: String, pair: KeyPair) -> Result<Self, rcgen::Error> {
        let issuer = Issuer::from_ca_cert_pem(&certificate, pair)?;
        Ok(Self { certificate, issuer })
    }

    fn make(name: &str, now: Time) -> Result<(Self, String), rcgen::Error> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let text = pair.serialize_pem();
        let mut params = CertificateParams::new(vec![name.to_string()])?;
        params.distinguished_name = Subject::new(name, &[]).to_name();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyCertSign,
        ];
        set_validity(&mut params, now, CA_SECS);
        let certificate = params.self_signed(&pair)?.pem();
        Ok((Self { certificate, issuer: Issuer::new(params, pair) }, text))
    }

    /// A new key and a certificate for it, valid for `seconds`.
    pub fn issue(
        &self,
        subject: &Subject,
        purpose: &Purpose,
        now: Time,
        seconds: i64,
    ) -> Result<Issued, rcgen::Error> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let (names, usage) = match purpose {
            Purpose::Server(names) => (names.clone(), ExtendedKeyUsagePurpose::ServerAuth),
            Purpose::Client => (Vec::new(), ExtendedKeyUsagePurpose::ClientAuth),
        };
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = subject.to_name();
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, seconds);
        let certificate = params.signed_by(&pair, &self.issuer)?.pem();
        Ok(Issued { certificate, key: pair.serialize_pem() })
    }

    /// Signs a PEM certificate signing request, keeping its subject and names.
    pub fn sign_request(
        &self,
        request: &str,
        usages: Vec<ExtendedKeyUsagePurpose>,
        now: Time,
        seconds: i64,
    ) -> Result<String, rcgen::Error> {
        let mut request = rcgen::CertificateSigningRequestParams::from_pem(request)?;
        request.params.is_ca = IsCa::ExplicitNoCa;
        request.params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        request.params.extended_key_usages = usages;
        request.params.use_authority_key_identifier_extension = true;
        set_validity(&mut request.params, now, seconds);
        Ok(request.signed_by(&self.issuer)?.pem())
    }
}

fn set_validity(params: &mut CertificateParams, now: Time, seconds: i64) {
    params.not_before = at(now.secs() - BACKDATE_SECS);
    params.not_after = at(now.secs() + seconds);
}

fn at(secs: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(secs).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
