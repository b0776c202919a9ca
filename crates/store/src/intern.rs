//! One copy of every recurring text: namespaces, resources, label keys and values, field values.

use crate::object::{Head, Key};
use std::collections::HashSet;
use std::sync::Arc;

/// Texts in use. What nothing uses any more is dropped whenever the pool has doubled.
#[derive(Default)]
pub(crate) struct Pool {
    texts: HashSet<Arc<str>>,
    sweep_at: usize,
}

impl Pool {
    pub fn share(&mut self, text: &mut Arc<str>) {
        match self.texts.get(&**text) {
            Some(known) => text.clone_from(known),
            None => self.add(text.clone()),
        }
    }

    /// The shared copy of a text.
    pub fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let fresh: Arc<str> = text.into();
        self.add(fresh.clone());
        fresh
    }

    fn add(&mut self, text: Arc<str>) {
        if self.texts.len() >= self.sweep_at.max(1024) {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            self.sweep_at = self.texts.len() * 2;
        }
        self.texts.insert(text);
    }

    /// Names are left alone: they seldom recur.
    pub fn key(&mut self, key: &mut Key) {
        self.share(&mut key.namespace);
    }

    pub fn head(&mut self, head: &mut Head) {
        for (key, value) in head.labels.iter_mut().chain(&mut head.fields) {
            self.share(key);
            self.share(value);
        }
        for owner in &mut head.owners {
            self.share(&mut owner.uid);
            self.share(&mut owner.api_version);
            self.share(&mut owner.kind);
            self.share(&mut owner.name);
        }
        head.finalizers.iter_mut().for_each(|text| self.share(text));
    }
}
