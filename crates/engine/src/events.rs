//! The events bus: bounded history and live subscribers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use tokio::sync::broadcast;

use crate::filter::Filters;
use crate::time::Stamp;

/// As many past events as dockerd keeps (moby `daemon/events`).
const HISTORY: usize = 256;
/// A subscriber that falls further behind than this loses the oldest.
const BACKLOG: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// container, image, volume, network, daemon, builder.
    pub kind: &'static str,
    /// start, die, `exec_create: ls`, `health_status: healthy`.
    pub action: String,
    pub id: String,
    pub attributes: BTreeMap<String, String>,
    pub at: Stamp,
}

pub struct Events {
    past: Mutex<VecDeque<Event>>,
    live: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self { past: Mutex::default(), live: broadcast::channel(BACKLOG).0 }
    }
}

impl Events {
    pub fn publish(&self, kind: &'static str, action: &str, id: &str, attributes: Attributes) {
        let attributes = attributes.0;
        let (action, id) = (action.to_owned(), id.to_owned());
        let mut past = self.past.lock().expect("no panic happens under this lock");
        // The stamp is taken under the lock, so that the order of times is the order of events.
        let event = Event { kind, action, id, attributes, at: Stamp::now() };
        if past.len() == HISTORY {
            past.pop_front();
        }
        past.push_back(event.clone());
        // No subscriber is no error.
        let _ = self.live.send(event);
    }

    /// The past events from `since` on (none when absent), and a receiver that continues them.
    pub fn subscribe(&self, since: Option<Stamp>) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let past = self.past.lock().expect("no panic happens under this lock");
        let live = self.live.subscribe();
        let old = match since {
            Some(since) => past.iter().filter(|e| e.at >= since).cloned().collect(),
            None => Vec::new(),
        };
        (old, live)
    }
}

/// An event's attributes, built up by chaining.
#[derive(Debug, Clone, Default)]
pub struct Attributes(pub BTreeMap<String, String>);

impl Attributes {
    pub fn new<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }
}

/// moby `daemon/events/filter.go`.
pub fn matches(filters: &Filters, event: &Event) -> bool {
    let attribute = |key: &str| event.attributes.get(key).map(String::as_str);
    let action = event.action.split(':').next().unwrap_or_default();
    filters.any("type", |t| t == event.kind)
        && filters.any("event", |a| a == event.action || a == action)
        && filters.any("scope", |s| s == "local")
        && filters.labels("label", attribute)
        && ["container", "volume", "network", "daemon", "plugin", "builder"]
            .iter()
            .all(|kind| filters.any(kind, |wanted| is_about(event, kind, wanted)))
        && filters.any("image", |wanted| is_of_image(event, wanted))
}

fn is_about(event: &Event, kind: &str, wanted: &str) -> bool {
    let name = event.attributes.get("name").map_or("", String::as_str);
    event.kind == kind && (event.id.starts_with(wanted) || name == wanted)
        || (kind == "container"
            && event.attributes.get("container").is_some_and(|id| id.starts_with(wanted)))
}

fn is_of_image(event: &Event, wanted: &str) -> bool {
    let bare = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
    let key = if event.kind == "image" { "name" } else { "image" };
    let name = event.attributes.get(key).map_or("", String::as_str);
    event.id == wanted || name == wanted || bare(name) == wanted
}

#[cfg(test)]
mod tests {
    use super::{Attributes, Events, matches};
    use crate::filter::Filters;
    use crate::time::Stamp;

    #[test]
    fn history_then_live() {
        let events = Events::default();
        events.publish("container", "die", "abc", Attributes::new([("name", "web")]));
        let (past, mut live) = events.subscribe(Some(Stamp::NEVER));
        assert_eq!(past.len(), 1);
        assert!(matches(&Filters::default().with("container", "web"), &past[0]));
        assert!(!matches(&Filters::default().with("event", "start"), &past[0]));
        events.publish("container", "health_status: healthy", "abc", Attributes::default());
        let next = live.try_recv().unwrap();
        assert!(matches(&Filters::default().with("event", "health_status"), &next));
        assert!(events.subscribe(None).0.is_empty());
    }
}
