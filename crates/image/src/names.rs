//! Tagging, untagging, removing. Upstream: moby `daemon/images/image_delete.go`.

use crate::db::State;
use crate::{Error, Force, ImageId, ImageStore, Removed, Result};
use oci::Reference;
use oci::config::chain_ids;

impl ImageStore {
    /// Gives `id` another name; a name that was taken moves.
    pub fn tag(&self, id: &ImageId, name: &Reference) -> Result<()> {
        if name.tag().is_none() || name.digest().is_some() {
            return Err(Error::invalid("refusing to create a tag with a digest reference"));
        }
        self.0.db.change(|state| {
            let record = state.images.get(id).ok_or_else(|| Error::no_such_image(id.as_str()))?;
            let target = record.manifest.digest.clone();
            state.set_name(name, id, &target);
            Ok(())
        })
    }

    /// `docker rmi TEXT`: untags, and deletes what no name holds any more. Whether containers use
    /// the image is for the caller to check; layers under snapshots stay in any case.
    pub fn remove(&self, text: &str, force: Force) -> Result<Vec<Removed>> {
        let removed = self.0.db.change(|state| {
            let id = state.find(text)?;
            let mut removal = Removal { state, removed: Vec::new() };
            match named(text, removal.state) {
                Some(name) => removal.name(&id, &name)?,
                None => removal.id(&id, text, force)?,
            }
            Ok(removal.removed)
        })?;
        self.collect()?;
        Ok(removed)
    }

    /// Deletes images by ID with all their names, then everything unreferenced and all partial
    /// downloads. Answers what went and how many bytes that freed. Images with children stay.
    pub fn prune(&self, ids: &[ImageId]) -> Result<(Vec<Removed>, u64)> {
        let removed = self.0.db.change(|state| {
            let mut removal = Removal { state, removed: Vec::new() };
            for id in ids {
                if removal.state.images.contains_key(id) && !removal.state.children(id) {
                    removal.all_names(id);
                    removal.image(id);
                }
            }
            Ok(removal.removed)
        })?;
        // First the lists of interrupted pulls, which hold blobs.
        let freed = self.drop_partials()? + self.collect()?;
        Ok((removed, freed))
    }
}

/// The stored name that `text` means; `None` when it is an ID.
fn named(text: &str, state: &State) -> Option<Reference> {
    let parsed = Reference::parse_tagged(text).ok()?;
    let exact = match parsed.digest() {
        Some(digest) => parsed.with_digest(digest.clone()),
        None => parsed,
    };
    (!text.starts_with("sha256:") && state.names.contains_key(&exact.to_string())).then_some(exact)
}

struct Removal<'a> {
    state: &'a mut State,
    removed: Vec<Removed>,
}

impl Removal<'_> {
    fn name(&mut self, id: &ImageId, name: &Reference) -> Result<()> {
        let names = self.state.names_of(id);
        let last = names.len() == 1 || is_single(&names);
        if last && self.state.children(id) {
            // The image is still somebody's parent: it only loses its name.
            self.untag(name);
            return Ok(());
        }
        self.untag(name);
        let same_repo = |n: &&Reference| n.name() == name.name();
        let left = self.state.names_of(id);
        if name.digest().is_none() && !left.iter().filter(same_repo).any(|n| n.tag().is_some()) {
            for digest in left.iter().filter(same_repo) {
                self.untag(digest);
            }
        }
        if self.state.names_of(id).is_empty() {
            self.image(id);
        }
        Ok(())
    }

    fn id(&mut self, id: &ImageId, text: &str, force: Force) -> Result<()> {
        let names = self.state.names_of(id);
        let short = id.short();
        if self.state.children(id) {
            return Err(Error::conflict(format!(
                "conflict: unable to delete {short} (cannot be forced) - image has dependent child images"
            )));
        }
        if names.len() > 1 && !is_single(&names) && force == Force::No {
            return Err(Error::conflict(format!(
                "conflict: unable to delete {text} (must be forced) - image is referenced in multiple repositories"
            )));
        }
        self.all_names(id);
        self.image(id);
        Ok(())
    }

    fn all_names(&mut self, id: &ImageId) {
        for name in self.state.names_of(id) {
            self.untag(&name);
        }
    }

    fn untag(&mut self, name: &Reference) {
        if self.state.names.remove(&name.to_string()).is_some() {
            self.removed.push(Removed::Untagged(name.familiar()));
        }
    }

    /// Deletes the image, then its unnamed parents.
    fn image(&mut self, id: &ImageId) {
        let mut next = Some(id.clone());
        while let Some(id) = next {
            let Some(record) = self.state.images.remove(&id) else { return };
            self.removed.push(Removed::Deleted(id));
            let diff_ids: Vec<_> = record.layers.iter().map(|l| l.diff_id.clone()).collect();
            for (at, chain) in chain_ids(&diff_ids).into_iter().enumerate().rev() {
                let prefix = &record.layers[..=at];
                if self.state.images.values().any(|r| r.layers.starts_with(prefix)) {
                    break;
                }
                self.removed.push(Removed::Deleted(chain));
            }
            next = record.parent.filter(|parent| {
                !self.state.children(parent) && self.state.names_of(parent).is_empty()
            });
        }
    }
}

/// One tag (or none) and digests of the same repository count as one reference.
fn is_single(names: &[Reference]) -> bool {
    let tags = names.iter().filter(|n| n.tag().is_some()).count();
    tags <= 1 && names.windows(2).all(|w| w[0].name() == w[1].name())
}
