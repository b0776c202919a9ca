//! Built images on their way out, and caches on their way in.

use std::io::{Read, Write};

use image::{Force, PackStyle, PushRequest, Reporter};
use oci::{Digest, Reference};

use crate::BuildRequest;
use crate::builder::Builder;
use crate::claim::{Access, Tree};
use crate::error::{BuildError, Doing, Result};

/// What a file for the caller holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exporter {
    /// The files of the image, as a tar.
    Tree,
    /// The image: an OCI layout with docker's manifest beside.
    Archive,
}

impl Builder {
    /// Prints an image. Blocks.
    pub fn export(&self, image: &Digest, exporter: Exporter, out: &mut dyn Write) -> Result<()> {
        let images = &self.engine.images;
        match exporter {
            Exporter::Archive => Ok(images.save(&[image.to_string()], out)?),
            Exporter::Tree => {
                let layers = images.get(image)?.layers;
                let tree = Tree::new(images, &layers, Access::Read, &self.work)?;
                image::pack(tree.path(), PackStyle::Plain, out)?;
                Ok(())
            }
        }
    }

    /// Pushes what is here under `name`, with the request's credentials.
    pub async fn push(&self, name: &Reference, request: &BuildRequest) -> Result<()> {
        let auth = request.auths.lookup(name.domain(), name.path())?;
        let push = PushRequest { reference: name.clone(), auth, reporter: Reporter::none() };
        self.engine.images.push(push).await.doing(|| format!("pushing {}", name.familiar()))?;
        Ok(())
    }

    /// Pushes an image under a name that it has only meanwhile.
    pub async fn push_as(&self, id: &Digest, name: &Reference, r: &BuildRequest) -> Result<()> {
        let images = &self.engine.images;
        let before = images.resolve(&name.to_string()).ok().filter(|b| b != id);
        images.tag(id, name)?;
        let pushed = self.push(name, r).await;
        match before {
            Some(before) => images.tag(&before, name)?,
            None => drop(images.remove(&name.to_string(), Force::No)?),
        }
        pushed
    }

    /// Takes an archive of `--cache-to type=local` in; gives the ids of its images.
    pub fn load(&self, archive: &mut (dyn Read + Send)) -> Result<Vec<String>> {
        let loaded = self.engine.images.load(archive, &Reporter::none());
        let loaded = loaded.doing(|| "reading an archive of a cache".to_owned())?;
        Ok(loaded.into_iter().map(|l| l.id.to_string()).collect())
    }

    /// Forgets an image unless it has a name or somebody uses it.
    pub fn drop_image(&self, id: &Digest) -> Result<()> {
        let images = &self.engine.images;
        let Ok(image) = images.get(id) else { return Ok(()) };
        if !image.tags.is_empty() {
            return Ok(());
        }
        match images.remove(id.as_str(), Force::No) {
            Err(e) if e.kind != image::ErrorKind::Conflict => Err(BuildError::from(e)),
            _ => Ok(()),
        }
    }
}
