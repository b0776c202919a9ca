//! Base images: found in the store or pulled, for the platform that was asked for.

use dockerfile::{KnownImage, Wanted};
use image::{Credentials, ImageStore, PullRequest, Reporter};
use oci::{ImageConfig, Platform, Reference};
use tokio::sync::mpsc;

use crate::BuildRequest;
use crate::error::{BuildError, Doing, Result};
use crate::execute::Event;

/// Looks up one image; the request's credentials serve its registry.
pub async fn known(
    images: &ImageStore,
    wanted: &Wanted,
    request: &BuildRequest,
    events: &mpsc::UnboundedSender<Event>,
) -> Result<KnownImage> {
    let platform = Platform::parse(&wanted.platform).map_err(BuildError::new)?;
    if !request.pull
        && let Ok(id) = images.resolve(&wanted.name)
    {
        let config = images.config(&id)?;
        if serves(&config, &platform) {
            return Ok(KnownImage { config, id });
        }
    }
    // Nobody listening is no reason to stop.
    let _ = events.send(Event::Log(None, format!("Pulling {}\n", wanted.name).into_bytes()));
    let reference = Reference::parse_tagged(&wanted.name)
        .doing(|| format!("invalid reference {}", wanted.name))?;
    let pull = PullRequest {
        auth: credentials(request, &reference)?,
        reference,
        platform: Some(platform.clone()),
        reporter: Reporter::none(),
    };
    let id = match images.pull(pull).await {
        Ok(pulled) => pulled.id,
        Err(e) => return Err(unavailable(images, wanted, &e)),
    };
    let config = images.config(&id)?;
    if serves(&config, &platform) {
        return Ok(KnownImage { config, id });
    }
    Err(BuildError::new(mismatch(&config, wanted)))
}

/// What the request carries for the image's registry (`X-Registry-Config`).
fn credentials(request: &BuildRequest, reference: &Reference) -> Result<Option<Credentials>> {
    Ok(request.auths.lookup(reference.domain(), reference.path())?)
}

/// Says that it is here for another platform when that is why it was pulled.
fn unavailable(images: &ImageStore, wanted: &Wanted, e: &image::Error) -> BuildError {
    let here = images.resolve(&wanted.name).and_then(|id| images.config(&id));
    match here {
        Ok(config) if of(&config).to_string() != wanted.platform => {
            BuildError::new(format!("{} ({e})", mismatch(&config, wanted)))
        }
        _ => BuildError::new(e.to_string()),
    }
}

/// moby's words (`daemon/images/image.go`).
fn mismatch(config: &ImageConfig, wanted: &Wanted) -> String {
    format!(
        "image with reference {} was found but its platform ({}) does not match the specified \
         platform ({})",
        wanted.name,
        of(config),
        wanted.platform
    )
}

fn of(config: &ImageConfig) -> Platform {
    Platform::new(&config.os, &config.architecture, &config.variant)
}

/// Whether the image is for `platform`; one that does not say is taken.
fn serves(config: &ImageConfig, platform: &Platform) -> bool {
    config.architecture.is_empty() || of(config).matches(platform)
}
