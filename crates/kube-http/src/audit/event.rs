//! One request's events.

use super::policy::Level;
use super::sink::AuditSink;
use crate::info::Info;
use meta::{Identity, Map, Time, Value};
use serde_json::json;

/// When an event is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    pub fn parse(name: &str) -> Option<Self> {
        [Self::RequestReceived, Self::ResponseStarted, Self::ResponseComplete, Self::Panic]
            .into_iter()
            .find(|stage| stage.as_str() == name)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

/// What is recorded of one request while it is answered.
#[derive(Debug)]
pub struct Trail {
    sink: AuditSink,
    level: Level,
    omit: Vec<Stage>,
    event: Map,
}

/// What is known of a request when it comes in.
pub struct Received<'a> {
    pub id: &'a str,
    pub uri: &'a str,
    pub user_agent: &'a str,
    pub source: String,
    pub who: &'a Identity,
    /// Whom `who` acts as.
    pub assumed: Option<&'a Identity>,
    pub info: &'a Info,
    pub now: Time,
}

impl Trail {
    /// Begins with `RequestReceived`.
    pub fn begin(sink: &AuditSink, level: Level, omit: &[Stage], received: &Received<'_>) -> Self {
        let event = metadata(level, received);
        let trail = Self { sink: sink.clone(), level, omit: omit.to_vec(), event };
        trail.emit(Stage::RequestReceived, received.now);
        trail
    }

    /// The request's object, when the level asks for it; what is not JSON is left out.
    pub fn request(&mut self, body: &[u8]) {
        if self.level >= Level::Request
            && let Ok(object) = serde_json::from_slice::<Value>(body)
        {
            self.event.insert("requestObject".into(), object);
        }
    }

    pub fn wants_response(&self) -> bool {
        self.level >= Level::RequestResponse
    }

    /// The response's object.
    pub fn response(&mut self, body: &[u8]) {
        if let Ok(object) = serde_json::from_slice::<Value>(body) {
            self.event.insert("responseObject".into(), object);
        }
    }

    pub fn end(mut self, stage: Stage, code: u16, now: Time) {
        let status = json!({ "metadata": {}, "code": code });
        self.event.insert("responseStatus".into(), status);
        self.emit(stage, now);
    }

    fn emit(&self, stage: Stage, now: Time) {
        if self.omit.contains(&stage) {
            return;
        }
        let mut event = self.event.clone();
        event.insert("stage".into(), stage.as_str().into());
        event.insert("stageTimestamp".into(), now.rfc3339_micro().into());
        self.sink.write(&Value::Object(event));
    }
}

fn metadata(level: Level, received: &Received<'_>) -> Map {
    let mut event = Map::new();
    let mut put = |key: &str, value: Value| drop(event.insert(key.into(), value));
    put("kind", "Event".into());
    put("apiVersion", "audit.k8s.io/v1".into());
    put("level", level.as_str().into());
    put("auditID", received.id.into());
    put("requestURI", received.uri.into());
    put("verb", received.info.verb.clone().into());
    put("user", auth::user_info(received.who));
    if let Some(assumed) = received.assumed {
        put("impersonatedUser", auth::user_info(assumed));
    }
    put("sourceIPs", json!([received.source]));
    if !received.user_agent.is_empty() {
        put("userAgent", received.user_agent.into());
    }
    if !received.info.resource.is_empty() {
        put("objectRef", object_ref(received.info));
    }
    put("requestReceivedTimestamp", received.now.rfc3339_micro().into());
    event
}

fn object_ref(info: &Info) -> Value {
    let members = [
        ("resource", &info.resource),
        ("namespace", &info.namespace),
        ("name", &info.name),
        ("apiGroup", &info.group),
        ("apiVersion", &info.version),
        ("subresource", &info.subresource),
    ];
    let given = members.into_iter().filter(|(_, text)| !text.is_empty());
    given.map(|(key, text)| (key.to_string(), Value::from(text.clone()))).collect::<Map>().into()
}
