//! What a client is told when a request fails: upstream's `Status` and `field.Error`.
//!
//! Texts follow k8s.io/apimachinery `pkg/api/errors/errors.go` and `pkg/util/validation/field/errors.go`,
//! because clients match them.

use crate::{Map, Resource, Value};
use std::fmt;

/// The `reason` of a Status with its HTTP code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    AlreadyExists,
    Conflict,
    Gone,
    Expired,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    Invalid,
    TooManyRequests,
    InternalError,
    /// 500 without a reason: an error of upstream's that is no Status.
    Unknown,
    ServiceUnavailable,
    Timeout,
    ServerTimeout,
}

impl Reason {
    pub const fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Gone | Self::Expired => 410,
            Self::RequestEntityTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::TooManyRequests => 429,
            Self::InternalError | Self::ServerTimeout | Self::Unknown => 500,
            Self::ServiceUnavailable => 503,
            Self::Timeout => 504,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequest",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Expired => "Expired",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::Invalid => "Invalid",
            Self::TooManyRequests => "TooManyRequests",
            Self::InternalError => "InternalError",
            Self::Unknown => "",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::Timeout => "Timeout",
            Self::ServerTimeout => "ServerTimeout",
        }
    }
}

/// A request's failure. Boxed details keep `Result<_, Problem>` small on the happy path.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    pub reason: Reason,
    pub message: String,
    pub details: Option<Box<Details>>,
}

/// `Status.details`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Details {
    pub name: String,
    pub group: String,
    /// Upstream puts the plural resource here for most errors and the kind for `Invalid`.
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    pub retry_after_secs: u32,
    /// Not in `details`: `metadata.continue` of the Status, for lists that may go on inconsistently.
    pub token: String,
}

/// One entry of `Status.details.causes`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cause {
    pub reason: String,
    pub message: String,
    pub field: String,
}

/// Why a field is refused (`field.ErrorType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultRule {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    Internal,
    TypeInvalid,
}

/// One refused field. Checks push these into a list, so that a client sees every fault at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub rule: FaultRule,
    /// `spec.containers[0].name`
    pub path: String,
    /// The offending value, printed as upstream prints it; `None` prints no value.
    pub value: Option<Value>,
    pub detail: String,
}

impl FaultRule {
    const fn text(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }

    const fn cause(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Internal => "InternalError",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }
}

impl Fault {
    pub fn new(
        rule: FaultRule,
        path: impl Into<String>,
        value: Option<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Self { rule, path: path.into(), value, detail: detail.into() }
    }

    pub fn required(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FaultRule::Required, path, None, detail)
    }

    pub fn invalid(
        path: impl Into<String>,
        value: impl Into<Value>,
        why: impl Into<String>,
    ) -> Self {
        Self::new(FaultRule::Invalid, path, Some(value.into()), why)
    }

    pub fn duplicate(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(FaultRule::Duplicate, path, Some(value.into()), "")
    }

    pub fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FaultRule::Forbidden, path, None, detail)
    }

    pub fn not_supported(
        path: impl Into<String>,
        value: impl Into<Value>,
        supported: &[&str],
    ) -> Self {
        let mut known: Vec<_> = supported.iter().map(|s| format!("{s:?}")).collect();
        known.sort();
        let detail = if known.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", known.join(", "))
        };
        Self::new(FaultRule::NotSupported, path, Some(value.into()), detail)
    }

    /// `Invalid value: "x": must be ...`, without the path.
    pub fn body(&self) -> String {
        let mut out = self.rule.text().to_string();
        if let Some(value) = &self.value {
            out.push_str(": ");
            out.push_str(&shown(value));
        }
        if !self.detail.is_empty() {
            out.push_str(": ");
            out.push_str(&self.detail);
        }
        out
    }
}

/// Strings are quoted, numbers and booleans plain, the rest as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(s) => format!("{s:?}"),
        other => other.to_string(),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}

impl Problem {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), details: None }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    pub fn internal(message: impl fmt::Display) -> Self {
        Self::new(Reason::InternalError, format!("Internal error occurred: {message}")).with(
            Details {
                causes: vec![Cause { message: message.to_string(), ..Cause::default() }],
                ..Details::default()
            },
        )
    }

    pub fn not_found(resource: &Resource, name: &str) -> Self {
        Self::named(Reason::NotFound, resource, name, format!("{resource} {name:?} not found"))
    }

    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        Self::named(
            Reason::AlreadyExists,
            resource,
            name,
            format!("{resource} {name:?} already exists"),
        )
    }

    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        Self::named(
            Reason::Conflict,
            resource,
            name,
            format!("Operation cannot be fulfilled on {resource} {name:?}: {why}"),
        )
    }

    /// The conflict of an update that carries a stale resourceVersion.
    pub fn modified(resource: &Resource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = if name.is_empty() {
            format!("{resource} is forbidden: {why}")
        } else {
            format!("{resource} {name:?} is forbidden: {why}")
        };
        Self::named(Reason::Forbidden, resource, name, message)
    }

    /// `Deployment.apps "web" is invalid: [...]`
    pub fn invalid(group: &str, kind: &str, name: &str, faults: &[Fault]) -> Self {
        let qualified = if group.is_empty() { kind.into() } else { format!("{kind}.{group}") };
        // Aggregate.Error of apimachinery tells equal messages once; the causes keep them all.
        let mut told: Vec<String> = Vec::new();
        for fault in faults.iter().map(Fault::to_string) {
            if !told.contains(&fault) {
                told.push(fault);
            }
        }
        let list = match told.as_slice() {
            [] => String::new(),
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let causes = faults.iter().map(|f| Cause {
            reason: f.rule.cause().into(),
            message: f.body(),
            field: f.path.clone(),
        });
        Self::new(Reason::Invalid, format!("{qualified} {name:?} is invalid: {list}")).with(
            Details {
                name: name.into(),
                group: group.into(),
                kind: kind.into(),
                causes: causes.collect(),
                ..Details::default()
            },
        )
    }

    fn named(reason: Reason, resource: &Resource, name: &str, message: String) -> Self {
        Self::new(reason, message).with(Details {
            name: name.into(),
            group: resource.group().into(),
            kind: resource.plural().into(),
            ..Details::default()
        })
    }

    pub fn with(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    pub const fn code(&self) -> u16 {
        self.reason.code()
    }

    /// The `Status` object that goes over the wire.
    pub fn to_status(&self) -> Value {
        let mut status = Map::new();
        status.insert("kind".into(), "Status".into());
        status.insert("apiVersion".into(), "v1".into());
        status.insert("metadata".into(), self.status_metadata());
        status.insert("status".into(), "Failure".into());
        status.insert("message".into(), self.message.clone().into());
        if self.reason != Reason::Unknown {
            status.insert("reason".into(), self.reason.as_str().into());
        }
        if let Some(details) = self.details.as_ref().filter(|d| !d.is_empty()) {
            status.insert("details".into(), details.to_value());
        }
        status.insert("code".into(), self.code().into());
        Value::Object(status)
    }
}

impl Problem {
    fn status_metadata(&self) -> Value {
        let mut out = Map::new();
        if let Some(details) = &self.details {
            put(&mut out, "continue", &details.token);
        }
        Value::Object(out)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Details {
    fn is_empty(&self) -> bool {
        *self == Self { token: self.token.clone(), ..Self::default() }
    }

    fn to_value(&self) -> Value {
        let mut out = Map::new();
        for (key, text) in
            [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)]
        {
            put(&mut out, key, text);
        }
        if !self.causes.is_empty() {
            out.insert("causes".into(), self.causes.iter().map(Cause::to_value).collect());
        }
        if self.retry_after_secs > 0 {
            out.insert("retryAfterSeconds".into(), self.retry_after_secs.into());
        }
        Value::Object(out)
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut out = Map::new();
        put(&mut out, "reason", &self.reason);
        put(&mut out, "message", &self.message);
        put(&mut out, "field", &self.field);
        Value::Object(out)
    }
}

/// Go's `omitempty`.
fn put(out: &mut Map, key: &str, text: &str) {
    if !text.is_empty() {
        out.insert(key.into(), text.into());
    }
}
