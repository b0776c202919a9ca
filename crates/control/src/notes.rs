//! Notes of plans as Event objects.
//!
//! The name of an event is derived from what it says, so that the same note again finds the earlier event in
//! the store and counts it up; nothing is remembered here. (Upstream's correlator keeps this in memory:
//! client-go `tools/record/events_cache.go`.)

use api::{Call, Patch, PatchKind, Verb};
use controllers::{Note, Warning};
use meta::{Gvr, Resource, Time, Value};
use serde_json::json;
use store::{Key, View};

/// The call that records `note` for the controller `reporter`.
pub(crate) fn call(note: &Note, reporter: &str, view: &View, now: Time) -> Call {
    let namespace = match text(&note.about, "namespace") {
        "" => "default",
        namespace => namespace,
    };
    let name = event_name(note, reporter);
    let earlier = view.get(&Key::new(&Resource::new("", "events"), namespace, &name));
    let verb = match earlier {
        Some(event) => count_up(event.value().get("count").and_then(Value::as_i64), now),
        None => Verb::Create(event(note, reporter, namespace, &name, now)),
    };
    let target = if earlier.is_some() { name.as_str() } else { "" };
    Call::new(verb, Gvr::new("", "v1", "events"), namespace, target)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn count_up(count: Option<i64>, now: Time) -> Verb {
    let body = json!({ "count": count.unwrap_or(1) + 1, "lastTimestamp": now.rfc3339() });
    Verb::Patch(Patch { kind: PatchKind::Merge, body })
}

fn event(note: &Note, reporter: &str, namespace: &str, name: &str, now: Time) -> Value {
    let kind = match note.warning {
        Warning::Normal => "Normal",
        Warning::Warning => "Warning",
    };
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "namespace": namespace, "name": name },
        "involvedObject": note.about,
        "type": kind,
        "reason": note.reason,
        "message": note.message,
        "source": { "component": reporter },
        "reportingComponent": reporter,
        "reportingInstance": "",
        "firstTimestamp": now.rfc3339(),
        "lastTimestamp": now.rfc3339(),
        "eventTime": null,
        "count": 1,
    })
}

/// `web.17f2…`: the object's name and a hash of everything that makes two events the same.
fn event_name(note: &Note, reporter: &str) -> String {
    let kind = if note.warning == Warning::Warning { "Warning" } else { "Normal" };
    let parts = [
        text(&note.about, "uid"),
        text(&note.about, "fieldPath"),
        kind,
        note.reason,
        &note.message,
        reporter,
    ];
    format!("{}.{:016x}", text(&note.about, "name"), fnv1a(&parts.join("\0")))
}

/// FNV-1a, 64 bit: stable across versions, which names must be.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
