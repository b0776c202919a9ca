//! What registries answer, in Docker's words.
//! Upstream: moby `distribution/errors.go`, distribution `registry/api/errcode`.

use crate::{Error, ErrorKind};
use http::StatusCode;
use serde::Deserialize;

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    errors: Vec<One>,
    #[serde(default)]
    details: String,
}

#[derive(Deserialize)]
struct One {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// A refusal: the first error code (empty if there is none) and its text.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub code: String,
    pub text: String,
}

impl Refusal {
    pub fn parse(status: StatusCode, body: &[u8]) -> Self {
        let parsed: Option<Body> = serde_json::from_slice(body).ok();
        if let Some(one) = parsed.as_ref().and_then(|b| b.errors.first()) {
            let words = one.code.to_lowercase().replace('_', " ");
            let text = format!("{words}: {}", one.message);
            return Self { status, code: one.code.clone(), text };
        }
        let code = match status {
            StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
            StatusCode::FORBIDDEN => "DENIED",
            _ => "",
        };
        let text = match (code, parsed.filter(|b| !b.details.is_empty())) {
            ("UNAUTHORIZED", _) => "unauthorized: authentication required".into(),
            ("DENIED", _) => "denied: requested access to the resource is denied".into(),
            (_, Some(body)) => body.details,
            _ => format!("received unexpected HTTP status: {status}"),
        };
        Self { status, code: code.into(), text }
    }

    fn kind(&self) -> ErrorKind {
        match self.status {
            StatusCode::UNAUTHORIZED => ErrorKind::Unauthorized,
            StatusCode::FORBIDDEN => ErrorKind::Denied,
            StatusCode::NOT_FOUND => ErrorKind::NotFound,
            s if s.is_client_error() && s != StatusCode::TOO_MANY_REQUESTS => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        }
    }

    /// For pulls: `name` is the familiar name, `reference` the familiar reference.
    pub fn of_pull(&self, name: &str, reference: &str) -> Error {
        let text = &self.text;
        let denied = matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let (kind, message) = match self.code.as_str() {
            "MANIFEST_UNKNOWN" => {
                (ErrorKind::NotFound, format!("manifest for {reference} not found: {text}"))
            }
            "NAME_UNKNOWN" => (ErrorKind::NotFound, format!("repository {name} not found: {text}")),
            "DENIED" | "UNAUTHORIZED" => (self.denied_kind(), access_denied(name, text)),
            _ if denied => (self.denied_kind(), access_denied(name, text)),
            "" if self.status == StatusCode::NOT_FOUND => (
                ErrorKind::NotFound,
                format!("manifest for {reference} not found: manifest unknown: manifest unknown"),
            ),
            _ => (self.kind(), text.clone()),
        };
        Error::new(kind, message)
    }

    /// For pushes and blobs: the registry's words.
    pub fn plain(&self) -> Error {
        Error::new(self.kind(), self.text.clone())
    }

    /// Docker answers 404 to a pull that is denied, so that clients treat both alike.
    fn denied_kind(&self) -> ErrorKind {
        ErrorKind::NotFound
    }
}

fn access_denied(name: &str, text: &str) -> String {
    format!(
        "pull access denied for {name}, repository does not exist or may require 'docker login': {text}"
    )
}
