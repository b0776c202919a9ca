//! Client certificates: CN is the user, each O a group (upstream `authentication/request/x509`).

use meta::Identity;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The identity in a certificate whose chain the TLS layer has verified. `None` when it has no CN or is
/// not a certificate.
pub fn identity_of_certificate(der: &[u8]) -> Option<Identity> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_string();
    let groups = subject.iter_organization().filter_map(|o| o.as_str().ok());
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    let hex: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let extra = [(crate::service_account::CREDENTIAL_ID.into(), vec![format!("X509SHA256={hex}")])];
    (!name.is_empty()).then(|| Identity {
        name,
        groups: groups.map(str::to_string).collect(),
        extra: extra.into(),
        ..Identity::default()
    })
}
