//! Why a request got no good answer.

use meta::{Cause, Details, Problem, Reason, Value};
use std::fmt;

/// A failed request.
#[derive(Debug, Clone)]
pub enum Error {
    /// The configuration cannot be used: which file or address, and why.
    Config(String),
    /// The server did not answer: where, and why.
    Unreachable { server: String, cause: String },
    /// Kubernetes answered with a Status.
    Problem(Box<Problem>),
    /// Any other answer outside 2xx: code and message.
    Status { code: u16, message: String },
    /// The connection broke or the answer makes no sense.
    Broken(String),
}

impl Error {
    /// The answer's HTTP status, when there was an answer.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Problem(problem) => Some(problem.code()),
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// What Kubernetes sent, or the text of any other answer.
    pub(crate) fn of_kubernetes(code: u16, body: &[u8]) -> Self {
        let status: Option<Value> = serde_json::from_slice(body).ok();
        match status.as_ref().and_then(problem) {
            Some(problem) => Self::Problem(Box::new(problem)),
            None => Self::Status { code, message: text(body) },
        }
    }

    /// Docker's `{"message": ...}`.
    pub(crate) fn of_docker(code: u16, body: &[u8]) -> Self {
        let value: Option<Value> = serde_json::from_slice(body).ok();
        let message = value.as_ref().and_then(|v| v.get("message")).and_then(Value::as_str);
        Self::Status { code, message: message.map_or_else(|| text(body), str::to_owned) }
    }

    pub(crate) fn broken(what: &str, cause: impl fmt::Display) -> Self {
        Self::Broken(format!("{what}: {cause}"))
    }
}

const REASONS: &[Reason] = &[
    Reason::BadRequest,
    Reason::Unauthorized,
    Reason::Forbidden,
    Reason::NotFound,
    Reason::MethodNotAllowed,
    Reason::NotAcceptable,
    Reason::AlreadyExists,
    Reason::Conflict,
    Reason::Gone,
    Reason::Expired,
    Reason::RequestEntityTooLarge,
    Reason::UnsupportedMediaType,
    Reason::Invalid,
    Reason::TooManyRequests,
    Reason::InternalError,
    Reason::ServiceUnavailable,
    Reason::Timeout,
    Reason::ServerTimeout,
];

/// Reads a `Status`; nothing when it is not one, or its reason is unknown here.
fn problem(status: &Value) -> Option<Problem> {
    let text = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    if status.get("kind")?.as_str()? != "Status" {
        return None;
    }
    let told = text(status, "reason");
    let reason = *REASONS.iter().find(|reason| reason.as_str() == told)?;
    let problem = Problem::new(reason, text(status, "message"));
    let Some(details) = status.get("details") else { return Some(problem) };
    let causes = details.get("causes").and_then(Value::as_array).into_iter().flatten();
    let retry = details.get("retryAfterSeconds").and_then(Value::as_u64).unwrap_or(0);
    Some(
        problem.with(Details {
            name: text(details, "name"),
            group: text(details, "group"),
            kind: text(details, "kind"),
            uid: text(details, "uid"),
            causes: causes
                .map(|cause| Cause {
                    reason: text(cause, "reason"),
                    message: text(cause, "message"),
                    field: text(cause, "field"),
                })
                .collect(),
            retry_after_secs: u32::try_from(retry).unwrap_or(u32::MAX),
            token: status.get("metadata").map(|m| text(m, "continue")).unwrap_or_default(),
        }),
    )
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim().to_owned()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(why) | Self::Broken(why) => f.write_str(why),
            Self::Unreachable { server, cause } => write!(f, "no answer from {server}: {cause}"),
            Self::Problem(problem) => f.write_str(&problem.message),
            Self::Status { code, message } if message.is_empty() => write!(f, "HTTP {code}"),
            Self::Status { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}
