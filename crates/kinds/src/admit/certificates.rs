//! Who may approve and sign certificates, and which subjects nobody may ask for
//! (plugin/pkg/admission/certificates/{approval,signing,subjectrestriction}/admission.go).

use crate::access::{Attributes, Decision};
use crate::admission::{Admit, Extras, Operation};
use crate::table::{list, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use meta::{Problem, Value};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

const REQUESTS: &str = "certificatesigningrequests.certificates.k8s.io";

fn writes(admit: &Admit<'_>, subresource: &str) -> bool {
    admit.operation == Operation::Update
        && admit.resource.as_str() == REQUESTS
        && admit.subresource == subresource
}

/// IsAuthorizedForSignerName: the signer itself, or all of its domain.
fn may(admit: &Admit<'_>, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    [signer.to_string(), format!("{domain}/*")].into_iter().any(|name| {
        let attributes = Attributes {
            verb: verb.into(),
            group: "certificates.k8s.io".into(),
            version: "*".into(),
            resource: "signers".into(),
            name,
            ..Attributes::default()
        };
        let decision = admit.authorizer.decide(&attributes, admit.identity, admit.view);
        matches!(decision, Decision::Allow { .. })
    })
}

fn signer(admit: &Admit<'_>) -> String {
    admit.old.map(|old| text(old, "spec.signerName")).unwrap_or_default()
}

fn refuse(admit: &Admit<'_>, why: String) -> Result<(), Problem> {
    Err(Problem::forbidden(admit.resource, admit.name, &why))
}

pub(super) fn approval(_: &Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    if !writes(admit, "approval") {
        return Ok(());
    }
    let signer = signer(admit);
    match may(admit, "approve", &signer) {
        true => Ok(()),
        false => {
            let why = format!("user not permitted to approve requests with signerName {signer:?}");
            refuse(admit, why)
        }
    }
}

/// Only a new certificate or a new failure is signing.
pub(super) fn signing(v: &Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    let (true, Some(old)) = (writes(admit, "status"), admit.old) else { return Ok(()) };
    let failed = |v: &Value| -> Vec<Value> {
        let all = list(v, "status.conditions").iter();
        all.filter(|c| c["type"] == "Failed").cloned().collect()
    };
    let same = text(v, "status.certificate") == text(old, "status.certificate");
    let signer = signer(admit);
    if (same && failed(v) == failed(old)) || may(admit, "sign", &signer) {
        return Ok(());
    }
    refuse(admit, format!("user not permitted to sign requests with signerName {signer:?}"))
}

/// Nobody becomes `system:masters` by a client certificate.
pub(super) fn subject(v: &Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
    if !admit.creates(REQUESTS) || text(v, "spec.signerName") != SIGNER {
        return Ok(());
    }
    // Validation refuses what is no request.
    let groups = organizations(&text(v, "spec.request")).unwrap_or_default();
    match groups.iter().any(|group| group == "system:masters") {
        true => refuse(
            admit,
            format!("use of {SIGNER} signer with system:masters group is not allowed"),
        ),
        false => Ok(()),
    }
}

/// The organizations of a PEM-encoded request in base64; `None` when it is none.
pub(crate) fn organizations(request: &str) -> Option<Vec<String>> {
    const LABEL: &str = "CERTIFICATE REQUEST-----";
    let pem = String::from_utf8(STANDARD.decode(request).ok()?).ok()?;
    let body = pem.split(&format!("-----BEGIN {LABEL}")).nth(1)?;
    let body: String =
        body.split("-----END").next()?.chars().filter(|c| !c.is_whitespace()).collect();
    let der = STANDARD.decode(body).ok()?;
    let (_, parsed) = X509CertificationRequest::from_der(&der).ok()?;
    let names = parsed.certification_request_info.subject.iter_organization();
    Some(names.filter_map(|name| name.as_str().ok().map(str::to_string)).collect())
}
