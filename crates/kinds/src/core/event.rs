//! Events: one storage, two spellings (core/v1 and events.k8s.io/v1).

use crate::row::{Conversion, KindRow, VersionRow};
use crate::rows::{field, version};
use crate::table::{at, col, int, name, since, text, text_or, wide};
use crate::{Column, FieldRow};
use meta::{Time, Value};

pub static EVENT: KindRow = KindRow::namespaced(
    "",
    "Event",
    "events",
    "event",
    &[version("v1", "io.k8s.api.core.v1.Event")],
)
.short(&["ev"])
.put_creates()
.table(COLUMNS, cells)
.fields(FIELDS)
.check(crate::check::cluster::event)
.sample(concat!(
    "apiVersion: v1\nkind: Event\nmetadata: {name: sample, namespace: default}\n",
    "involvedObject: {kind: Pod, name: p, namespace: default}\nreason: Tested\nmessage: hello\ntype: Normal\n"
));

pub static EVENTS_EVENT: KindRow = KindRow::namespaced(
    "events.k8s.io",
    "Event",
    "events",
    "event",
    &[VersionRow::converted("v1", "io.k8s.api.events.v1.Event", AS_EVENTS)],
)
.short(&["ev"])
.put_creates()
.table(COLUMNS, cells)
.fields(FIELDS)
.check(crate::check::cluster::event)
.filed_as("", "events")
.sample(concat!(
    "apiVersion: events.k8s.io/v1\nkind: Event\nmetadata: {name: sample, namespace: default}\n",
    "eventTime: '2026-01-02T03:04:05.000006Z'\nreportingController: test\nreportingInstance: test-1\naction: Testing\n",
    "regarding: {kind: Pod, name: p, namespace: default}\nreason: Tested\nnote: hello\ntype: Normal\n"
));

const AS_EVENTS: Conversion = Conversion { from_stored, to_stored };

/// `(core/v1, events.k8s.io/v1)` (pkg/apis/events/v1/conversion.go and the tags of the types).
const RENAMED: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn from_stored(v: Value) -> Value {
    rename(v, |(core, events)| (core, events))
}

fn to_stored(v: Value) -> Value {
    rename(v, |(core, events)| (events, core))
}

fn rename(
    mut v: Value,
    order: fn((&'static str, &'static str)) -> (&'static str, &'static str),
) -> Value {
    let Some(object) = v.as_object_mut() else { return v };
    for pair in RENAMED {
        let (from, to) = order(*pair);
        if let Some(member) = object.remove(from) {
            object.insert(to.into(), member);
        }
    }
    v
}

const COLUMNS: &[Column] = &[
    col("Last Seen", "string", ""),
    col("Type", "string", ""),
    col("Reason", "string", ""),
    col("Object", "string", ""),
    wide("Subobject", "string", ""),
    wide("Source", "string", ""),
    col("Message", "string", ""),
    wide("First Seen", "string", ""),
    wide("Count", "string", ""),
    Column { priority: 1, ..crate::table::NAME },
];

/// printEvent; rows are printed from the stored (core) form.
fn cells(v: &Value, now: Time) -> Vec<Value> {
    let first = seen(v, "firstTimestamp", now);
    let last = match at(v, "series.lastObservedTime") {
        Some(_) => since(v, "series.lastObservedTime", now),
        None => seen(v, "lastTimestamp", now),
    };
    let count = at(v, "series").map_or_else(|| int(v, "count"), |s| int(s, "count"));
    let target = match text(v, "involvedObject.name") {
        name if name.is_empty() => text(v, "involvedObject.kind").to_lowercase(),
        name => format!("{}/{name}", text(v, "involvedObject.kind").to_lowercase()),
    };
    vec![
        last.into(),
        text(v, "type").into(),
        text(v, "reason").into(),
        target.into(),
        text(v, "involvedObject.fieldPath").into(),
        source(v).into(),
        text(v, "message").trim().into(),
        first.into(),
        count.max(1).into(),
        name(v),
    ]
}

fn seen(v: &Value, path: &str, now: Time) -> String {
    if at(v, path).is_some() { since(v, path, now) } else { since(v, "eventTime", now) }
}

/// formatEventSource
fn source(v: &Value) -> String {
    let component = text_or(v, "source.component", &text(v, "reportingComponent"));
    match text_or(v, "source.host", &text(v, "reportingInstance")) {
        host if host.is_empty() => component,
        host => format!("{component}, {host}"),
    }
}

const FIELDS: &[FieldRow] = &[
    field!("involvedObject.kind"),
    field!("involvedObject.namespace"),
    field!("involvedObject.name"),
    field!("involvedObject.uid"),
    field!("involvedObject.apiVersion"),
    field!("involvedObject.resourceVersion"),
    field!("involvedObject.fieldPath"),
    field!("reason"),
    field!("reportingComponent"),
    FieldRow {
        name: "source",
        get: |v| text_or(v, "source.component", &text(v, "reportingComponent")),
    },
    field!("type"),
    FieldRow { name: "regarding.kind", get: |v| text(v, "involvedObject.kind") },
    FieldRow { name: "regarding.namespace", get: |v| text(v, "involvedObject.namespace") },
    FieldRow { name: "regarding.name", get: |v| text(v, "involvedObject.name") },
    FieldRow { name: "regarding.uid", get: |v| text(v, "involvedObject.uid") },
    FieldRow { name: "regarding.apiVersion", get: |v| text(v, "involvedObject.apiVersion") },
    FieldRow {
        name: "regarding.resourceVersion",
        get: |v| text(v, "involvedObject.resourceVersion"),
    },
    FieldRow { name: "regarding.fieldPath", get: |v| text(v, "involvedObject.fieldPath") },
    FieldRow { name: "reportingController", get: |v| text(v, "reportingComponent") },
];
