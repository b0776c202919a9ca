//! Sources from elsewhere: URLs and git repositories, for ADD and as build contexts.

pub mod git;
pub mod http;

use std::path::{Path, PathBuf};

use dockerfile::{Copying, Op, Source};

use crate::BuildRequest;
use crate::builder::Builder;
use crate::claim::Folder;
use crate::context::Context;
use crate::error::{BuildError, Doing, Result};
use crate::execute::{Session, blocking};

/// A source that is here now.
#[derive(Debug)]
pub struct Fetched {
    /// A file, or a folder whose content is meant.
    pub path: PathBuf,
    /// What a file is called when the destination is a folder.
    pub name: String,
    /// Decides the cache's key: the content's digest, or the commit.
    pub identity: String,
    pub folder: Option<Folder>,
}

impl Fetched {
    pub fn new(path: &Path, name: &str, identity: &str, folder: Option<Folder>) -> Self {
        let (path, name, identity) = (path.to_owned(), name.to_owned(), identity.to_owned());
        Self { path, name, identity, folder }
    }
}

/// Whether something is brought before the key is known.
pub fn is_needed(op: &Op) -> bool {
    let remote = |s: &Source| matches!(s, Source::Url(_) | Source::Git(_));
    matches!(op, Op::Copy(copying) if copying.sources.iter().any(remote))
}

/// What the sources of a COPY or ADD mean, in their order; `None` for those that are here anyway.
pub async fn all(session: &Session, c: &Copying) -> Result<Vec<Option<Fetched>>> {
    let mut out = Vec::new();
    for source in &c.sources {
        out.push(match source {
            Source::Url(url) => {
                Some(session.builder.downloads.get(url, c.checksum.as_deref()).await?)
            }
            Source::Git(url) => Some(repository(session, c, url).await?),
            Source::Path(_) | Source::Inline { .. } => None,
        });
    }
    Ok(out)
}

impl Builder {
    /// A build context from elsewhere: a repository, an archive, or a bare Dockerfile.
    pub async fn remote_context(&self, place: &str, request: &BuildRequest) -> Result<Context> {
        let work = self.work.clone();
        if git::is_repository(place) {
            let address = git::Address::parse(place)?;
            let agent = request.ssh.get("default").cloned();
            let wish = git::Wish { address, agent, ..git::Wish::default() };
            let fetched = blocking(move || git::clone(&wish, &work)).await?;
            return Ok(Context::fetched(fetched));
        }
        if !place.starts_with("http://") && !place.starts_with("https://") {
            return Err(BuildError::new(format!("{place} is neither a URL nor a repository")));
        }
        let fetched = self.downloads.get(place, None).await?;
        let name = request.dockerfile.clone();
        blocking(move || {
            let file = std::fs::File::open(&fetched.path).doing(|| "opening a download".into())?;
            Context::unpack(Box::new(file), &work, &name)
        })
        .await
    }
}

async fn repository(session: &Session, c: &Copying, url: &str) -> Result<Fetched> {
    let address = git::Address::parse(url)?;
    let wish = git::Wish {
        address,
        checksum: c.checksum.clone(),
        keep_git_dir: c.keep_git_dir,
        agent: session.request.ssh.get("default").cloned(),
    };
    let work = session.builder.work.clone();
    blocking(move || git::clone(&wish, &work)).await
}
