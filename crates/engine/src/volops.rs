//! Operations on volumes.

use std::sync::Arc;

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::events::Attributes;
use crate::filter::Filters;
use crate::volumes::{self, ANONYMOUS, Volume};

/// What a prune freed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    pub names: Vec<String>,
    pub bytes: u64,
}

impl Engine {
    pub async fn volume_create(self: &Arc<Self>, wanted: Volume) -> Result<Volume> {
        let (volume, new) = self.blocking(move |e| e.volumes.ensure(&wanted)).await?;
        if new {
            let attributes = Attributes::new([("driver", "local")]);
            self.events.publish("volume", "create", &volume.name, attributes);
        }
        Ok(volume)
    }

    pub fn volume(&self, name: &str) -> Result<Volume> {
        self.volumes.get(name)
    }

    pub fn volume_list(&self, filters: &Filters) -> Result<Vec<Volume>> {
        let mut out = Vec::new();
        for volume in self.volumes.list() {
            let used = !self.volume_users(&volume.name).is_empty();
            if volumes::matches(filters, &volume, used)? {
                out.push(volume);
            }
        }
        Ok(out)
    }

    /// How many containers refer to a volume.
    pub fn volume_links(&self, name: &str) -> usize {
        self.volume_users(name).len()
    }

    pub async fn volume_remove(self: &Arc<Self>, name: &str, force: bool) -> Result<()> {
        let users = self.volume_users(name);
        if !users.is_empty() {
            return Err(EngineError::conflict(format!(
                "remove {name}: volume is in use - [{}]",
                users.join(", ")
            )));
        }
        let target = name.to_owned();
        match self.blocking(move |e| e.volumes.remove(&target)).await {
            Err(e) if force && e.kind == crate::error::Kind::NotFound => return Ok(()),
            other => other?,
        };
        self.events.publish("volume", "destroy", name, Attributes::new([("driver", "local")]));
        Ok(())
    }

    /// Anonymous volumes that nothing uses; with `all=true` named ones as well.
    pub async fn volume_prune(self: &Arc<Self>, filters: &Filters) -> Result<Freed> {
        filters.only(&["all", "label", "label!"])?;
        let all = filters.flag("all", false)?;
        let mut freed = Freed::default();
        for volume in self.volumes.list() {
            let wanted = all || volume.label(ANONYMOUS).is_some();
            let used = !self.volume_users(&volume.name).is_empty();
            if used || !wanted || !filters.prune_labels(|k| volume.label(k)) {
                continue;
            }
            let dir = volume.mountpoint.clone();
            let bytes = self.blocking(move |_| Ok(crate::observe::dir_size(&dir))).await?;
            self.volume_remove(&volume.name, false).await?;
            freed.names.push(volume.name);
            freed.bytes += bytes;
        }
        Ok(freed)
    }
}
