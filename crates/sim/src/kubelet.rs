//! A node: the stand-in kubelet of `controllers::simulated` behind a network that fails.

use crate::server::Server;
use api::{Call, Patch, PatchKind, Verb};
use controllers::simulated::{LABEL, Pace};
use k8s_openapi::api::core::v1::Node;
use meta::Time;
use serde_json::json;
use store::{Change, Key, View};
use typed::Kind;

pub(crate) struct Kubelet {
    pub name: String,
    pub zone: usize,
    /// Heard by nobody until then.
    pub away_until: Time,
    /// Sees no change until then, but its own.
    past: Option<(View, Time)>,
    /// Answers to it are lost until then.
    pub deaf_until: Time,
    /// When it looks again although nothing happened.
    pub timer: Option<Time>,
    due: bool,
}

/// A refused or unanswered write is tried again after this long.
const RETRY_MS: i64 = 1000;

impl Kubelet {
    pub fn new(at: usize) -> Self {
        Self {
            name: format!("n{at}"),
            zone: at % 3,
            away_until: Time::default(),
            past: None,
            deaf_until: Time::default(),
            timer: None,
            due: true,
        }
    }

    pub fn key(&self) -> Key {
        Node::key("", &self.name)
    }

    pub fn delay(&mut self, view: View, until: Time) {
        self.past = Some((view, until));
        self.wake_at(until);
    }

    pub fn wake_at(&mut self, at: Time) {
        self.timer = Some(self.timer.map_or(at, |earlier| earlier.min(at)));
    }

    pub fn heal(&mut self) {
        (self.away_until, self.deaf_until) = (Time::default(), Time::default());
        (self.past, self.due) = (None, true);
    }

    /// Whether a change concerns this node.
    pub fn notice(&mut self, change: &Change) {
        let key = &change.after.key;
        let mine = change.after.field("spec.nodeName") == Some(&*self.name)
            || (*key.name == *self.name && key.resource == Node::resource());
        self.due |= mine;
    }

    /// Looks and acts if there is reason to. Returns whether it did.
    pub fn act(&mut self, server: &mut Server, pace: &Pace, now: Time) -> bool {
        if self.past.as_ref().is_some_and(|(_, until)| *until <= now) {
            (self.past, self.due) = (None, true);
        }
        let rings = self.timer.is_some_and(|at| at <= now);
        if !(self.due || rings) || self.away_until > now {
            return false;
        }
        // Whoever looks at the past looks again when its clock rings, not when things change.
        if self.past.is_some() && !rings {
            return false;
        }
        (self.due, self.timer) = (false, None);
        let view = self.past.as_ref().map_or_else(|| server.view(), |(view, _)| view.clone());
        self.sync(server, &view, pace, now);
        true
    }

    fn sync(&mut self, server: &mut Server, view: &View, pace: &Pace, now: Time) {
        let plan = controllers::simulated::plan(view, &self.key(), now, pace);
        let mut calls = plan.calls;
        if view.get(&self.key()).is_none() {
            calls.extend([self.register(), self.measure()]);
        }
        let user = format!("system:node:{}", self.name);
        let before = server.view().revision();
        for call in &calls {
            let answer = server.call((&user, "kubelet"), call, now);
            if answer.is_err() || self.deaf_until > now {
                self.wake_at(now.plus_ms(RETRY_MS));
            }
        }
        // It knows what it did itself.
        if let Some((past, _)) = &mut self.past
            && server.view().revision() != before
        {
            *past = server.view();
        }
        if let Some((_, until)) = &self.past {
            let until = *until;
            self.wake_at(until);
        }
        plan.wake.into_iter().for_each(|at| self.wake_at(at.max(now.plus_ms(1))));
    }

    fn register(&self) -> Call {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": self.name, "labels": {
                LABEL: "true",
                "kubernetes.io/hostname": self.name,
                "topology.kubernetes.io/zone": format!("z{}", self.zone),
            } },
        });
        Call::new(Verb::Create(node), Node::gvr(), "", "")
    }

    /// Small, so that room is scarce.
    fn measure(&self) -> Call {
        let room =
            json!({ "cpu": "4", "memory": "8Gi", "pods": "10", "ephemeral-storage": "100Gi" });
        let body = json!({ "status": { "capacity": room, "allocatable": room } });
        let patch = Patch { kind: PatchKind::Merge, body };
        Call::new(Verb::Patch(patch), Node::gvr(), "", &self.name).on("status")
    }
}
