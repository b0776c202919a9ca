//! What a face hands in: one HTTP request, read wholly, with its caller already authenticated.

use bytes::Bytes;
use meta::{Identity, Time};

/// One request. The face has parsed it, authenticated the caller and read the whole body (within its limit).
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    /// Percent-decoded path, starting with `/`.
    pub path: String,
    /// Percent-decoded query, in the order given.
    pub query: Vec<(String, String)>,
    pub content_type: String,
    /// All `Accept` headers joined with `,`.
    pub accept: String,
    pub user_agent: String,
    pub if_none_match: String,
    pub body: Bytes,
    pub identity: Identity,
    pub now: Time,
    /// Fresh random bytes: the seed of uids and generated names.
    pub entropy: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

/// Who acts, and the inputs a pure function may not fetch itself.
#[derive(Debug, Clone)]
pub struct Env<'a> {
    pub identity: &'a Identity,
    pub now: Time,
    pub entropy: [u8; 32],
    /// Names the field manager when the request does not.
    pub user_agent: &'a str,
}

impl Method {
    /// `None` for methods the API does not know.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => return None,
        })
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

impl Request {
    /// The first value of a query parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    pub fn env(&self) -> Env<'_> {
        Env {
            identity: &self.identity,
            now: self.now,
            entropy: self.entropy,
            user_agent: &self.user_agent,
        }
    }
}
