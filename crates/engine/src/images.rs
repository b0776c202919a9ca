//! Operations on images: mostly the store's, with events and the containers' claims on them.

use std::io::Read;
use std::sync::Arc;

use image::{After, Force, Image, ImageId, Loaded, NewImage, Removed, Reporter};
use oci::{Digest, History, ImageConfig, Reference};

use crate::config::{Config, items};
use crate::engine::Engine;
use crate::error::{Doing, EngineError, Kind, Result};
use crate::events::Attributes;
use crate::record::Phase;
use crate::time::Stamp;

/// `docker commit`
#[derive(Debug, Clone, Default)]
pub struct CommitRequest {
    pub container: String,
    pub name: Option<Reference>,
    pub author: String,
    pub comment: String,
    /// Freeze the container meanwhile.
    pub pause: bool,
    /// The configuration of the new image; the container's when `None`.
    pub config: Option<oci::Config>,
}

/// `docker import`
#[derive(Debug, Clone, Default)]
pub struct ImportRequest {
    pub name: Option<Reference>,
    pub comment: String,
    pub platform: Option<oci::Platform>,
    pub config: oci::Config,
}

impl Engine {
    pub(crate) fn tell_image(&self, action: &str, id: &str, name: &str) {
        self.events.publish("image", action, id, Attributes::new([("name", name)]));
    }

    pub fn image(&self, wanted: &str) -> Result<Image> {
        Ok(self.images.get(&self.images.resolve(wanted)?)?)
    }

    pub async fn image_tag(self: &Arc<Self>, wanted: &str, name: Reference) -> Result<()> {
        let id = self.images.resolve(wanted)?;
        let (target, tag) = (id.clone(), name.clone());
        self.blocking(move |e| Ok(e.images.tag(&target, &tag)?)).await?;
        self.tell_image("tag", id.as_str(), &name.familiar());
        Ok(())
    }

    /// Containers that were made from an image.
    pub fn image_users(&self, id: &ImageId) -> Vec<Arc<crate::record::Record>> {
        let records = self.containers.all().into_iter().map(|c| c.record());
        records.filter(|r| r.image_id == id.as_str()).collect()
    }

    /// Untags; deletes when it was the last name. Running containers always hold their image,
    /// stopped ones unless forced (moby `daemon/images/image_delete.go`).
    pub async fn image_remove(
        self: &Arc<Self>,
        wanted: &str,
        force: Force,
    ) -> Result<Vec<Removed>> {
        let image = self.image(wanted)?;
        self.check_unused(&image, wanted, force)?;
        let target = wanted.to_owned();
        let removed = self.blocking(move |e| Ok(e.images.remove(&target, force)?)).await?;
        for line in &removed {
            match line {
                Removed::Untagged(name) => self.tell_image("untag", image.id.as_str(), name),
                Removed::Deleted(id) => self.tell_image("delete", id.as_str(), id.as_str()),
            }
        }
        Ok(removed)
    }

    fn check_unused(&self, image: &Image, wanted: &str, force: Force) -> Result<()> {
        let names = image.tags.len() + image.digests.len();
        let by_id = image.id.hex().starts_with(wanted) || image.id.as_str().starts_with(wanted);
        let last = by_id || image.tags.len() <= 1 || names <= 1;
        if !last {
            return Ok(());
        }
        let users = self.image_users(&image.id);
        let running = users.iter().find(|r| r.state.phase.is_running());
        let what = if by_id { "delete" } else { "remove repository reference" };
        let shown = if by_id { image.id.short().to_owned() } else { format!("\"{wanted}\"") };
        let how = if by_id { "cannot be forced" } else { "must force" };
        if let Some(user) = running.filter(|_| by_id) {
            return Err(EngineError::conflict(format!(
                "unable to {what} {shown} ({how}) - image is being used by running container {}",
                user.short_id()
            )));
        }
        match users.first() {
            Some(user) if force == Force::No && by_id => Err(EngineError::conflict(format!(
                "unable to {what} {shown} (must be forced) - image is being used by stopped \
                 container {}",
                user.short_id()
            ))),
            Some(user) if force == Force::No => Err(EngineError::conflict(format!(
                "unable to {what} {shown} ({how}) - container {} is using its referenced image {}",
                user.short_id(),
                image.id.short()
            ))),
            _ => Ok(()),
        }
    }

    pub async fn image_load(
        self: &Arc<Self>,
        mut tar: Box<dyn Read + Send>,
        reporter: Reporter,
    ) -> Result<Vec<Loaded>> {
        let loaded = self.blocking(move |e| Ok(e.images.load(&mut *tar, &reporter)?)).await?;
        for image in &loaded {
            self.tell_image("load", image.id.as_str(), image.id.as_str());
        }
        Ok(loaded)
    }

    pub async fn image_import(
        self: &Arc<Self>,
        mut tar: Box<dyn Read + Send>,
        request: ImportRequest,
    ) -> Result<ImageId> {
        let id = self
            .blocking(move |e| {
                let platform = request.platform.unwrap_or_else(oci::Platform::host);
                let config = ImageConfig {
                    architecture: platform.architecture,
                    os: platform.os,
                    variant: platform.variant,
                    created: Stamp::now().rfc3339_nano(),
                    config: request.config,
                    history: vec![History {
                        created: Stamp::now().rfc3339_nano(),
                        comment: request.comment,
                        ..History::default()
                    }],
                    ..ImageConfig::default()
                };
                Ok(e.images.import(&mut *tar, config, request.name.as_ref())?)
            })
            .await?;
        self.tell_image("import", id.as_str(), id.as_str());
        Ok(id)
    }

    pub async fn commit(self: &Arc<Self>, request: CommitRequest) -> Result<ImageId> {
        let container = self.containers.find(&request.container)?;
        let record = container.record();
        if matches!(record.state.phase, Phase::Removing | Phase::Dead) {
            return Err(EngineError::new(
                Kind::Conflict,
                format!("You cannot commit container {} which is being removed", record.id),
            ));
        }
        let freeze = request.pause && record.state.phase == Phase::Running;
        if freeze {
            self.pause(&record.id).await?;
        }
        let committed = self.blocking(move |e| e.commit_now(request)).await;
        if freeze {
            self.unpause(&record.id).await?;
        }
        let id = committed?;
        self.tell(&container.record(), "commit", &[("imageID", id.as_str())]);
        Ok(id)
    }

    fn commit_now(&self, request: CommitRequest) -> Result<ImageId> {
        let record = self.containers.find(&request.container)?.record();
        let parent: Digest =
            record.image_id.parse().doing(|| "the container's image".to_owned())?;
        let base = self.images.get(&parent)?;
        let layer = self.images.snapshots().commit(&record.id, After::Keep)?;
        let mut config = ImageConfig {
            author: request.author.clone(),
            created: Stamp::now().rfc3339_nano(),
            comment: request.comment.clone(),
            config: request.config.unwrap_or_else(|| image_defaults(&record.config)),
            ..(*base.config).clone()
        };
        config.history.push(History {
            created: config.created.clone(),
            author: request.author,
            created_by: [std::slice::from_ref(&record.path), &record.args].concat().join(" "),
            comment: request.comment,
            empty_layer: false,
        });
        let mut layers = base.layers;
        layers.push(layer);
        let names = request.name.into_iter().collect();
        Ok(self.images.create_image(NewImage { config, layers, parent: Some(parent), names })?)
    }

    /// `image prune`: unused images; only those without a name unless `dangling=false`.
    pub async fn image_prune(
        self: &Arc<Self>,
        filters: &crate::filter::Filters,
    ) -> Result<(Vec<Removed>, u64)> {
        filters.only(&["dangling", "label", "label!", "until"])?;
        let dangling = filters.flag("dangling", true)?;
        let until = crate::netops::until(filters)?;
        let wanted = |image: &Image| {
            let created = Stamp::parse(&image.config.created).unwrap_or_default();
            let label = |k: &str| image.config.config.labels.get(k).map(String::as_str);
            (!dangling || image.tags.is_empty())
                && self.image_users(&image.id).is_empty()
                && until.is_none_or(|until| created <= until)
                && filters.prune_labels(label)
        };
        let ids: Vec<ImageId> =
            self.images.list().iter().filter(|i| wanted(i)).map(|i| i.id.clone()).collect();
        let pruned = self.blocking(move |e| Ok(e.images.prune(&ids)?)).await?;
        for line in &pruned.0 {
            match line {
                Removed::Untagged(name) => self.tell_image("untag", name, name),
                Removed::Deleted(id) => self.tell_image("delete", id.as_str(), id.as_str()),
            }
        }
        self.events.publish(
            "image",
            "prune",
            "",
            Attributes::new([("reclaimed", &pruned.1.to_string())]),
        );
        Ok(pruned)
    }
}

/// A container's configuration as defaults for an image.
pub fn image_defaults(config: &Config) -> oci::Config {
    let set = |map: &crate::config::Dict<crate::config::Empty>| {
        map.iter().flatten().map(|(k, _)| (k.clone(), Default::default())).collect()
    };
    let check = config.healthcheck.as_ref().map(|h| oci::Healthcheck {
        test: items(&h.test).to_vec(),
        interval: h.interval,
        timeout: h.timeout,
        start_period: h.start_period,
        start_interval: h.start_interval,
        retries: h.retries,
    });
    oci::Config {
        user: config.user.clone(),
        exposed_ports: set(&config.exposed_ports),
        env: items(&config.env).to_vec(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        volumes: set(&config.volumes),
        working_dir: config.working_dir.clone(),
        labels: config.labels.clone().unwrap_or_default(),
        stop_signal: config.stop_signal.clone(),
        stop_timeout: config.stop_timeout,
        healthcheck: check,
        on_build: items(&config.on_build).to_vec(),
        shell: items(&config.shell).to_vec(),
        ..oci::Config::default()
    }
}
