//! What the built-in registry serves and takes, on the same blobs as everything else.
//!
//! A repository path shows what was pushed to it and, without any copy, every local image whose
//! name has that path: `docker.io/library/busybox` is `library/busybox`.

use crate::content::{hash_file, random_name};
use crate::db::{Repo, State};
use crate::error::Doing as _;
use crate::store::DOCUMENT_MAX;
use crate::{Error, ImageStore, Result};
use oci::{Descriptor, Digest, Document, Index, Reference, media};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// A manifest as a registry hands it out.
#[derive(Debug, Clone)]
pub struct Served {
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl ImageStore {
    /// All repository paths, sorted.
    pub fn repositories(&self) -> Vec<String> {
        let state = self.0.db.read();
        let filled = state.repos.iter().filter(|(_, r)| !r.manifests.is_empty());
        let mut all: BTreeSet<String> = filled.map(|(path, _)| path.clone()).collect();
        all.extend(local_names(&state).map(|(name, _)| name.path().to_owned()));
        all.into_iter().collect()
    }

    /// Tags of a repository, sorted; `None` when there is no such repository.
    pub fn repository_tags(&self, path: &str) -> Option<Vec<String>> {
        let state = self.0.db.read();
        let mut known = false;
        let mut tags = BTreeSet::new();
        if let Some(repo) = state.repos.get(path) {
            known = true;
            tags.extend(repo.tags.keys().cloned());
        }
        for (name, _) in local_names(&state).filter(|(n, _)| n.path() == path) {
            known = true;
            tags.extend(name.tag().map(str::to_owned));
        }
        known.then(|| tags.into_iter().collect())
    }

    /// A manifest by tag or digest; `None` when the repository does not have it.
    pub fn repository_manifest(&self, path: &str, reference: &str) -> Result<Option<Served>> {
        let found = {
            let state = self.0.db.read();
            match reference.parse::<Digest>() {
                Ok(digest) => by_digest(&state, path, &digest),
                Err(_) => by_tag(&state, path, reference),
            }
        };
        let Some((digest, media_type)) = found else { return Ok(None) };
        let bytes = self.blob(&digest)?;
        let media_type = if media_type.is_empty() { declared_type(&bytes) } else { media_type };
        Ok(Some(Served { digest, media_type, bytes }))
    }

    /// The size of a blob the repository has; `None` when it has not.
    pub fn repository_blob(&self, path: &str, digest: &Digest) -> Option<u64> {
        let pushed = self.0.db.read().repos.get(path).is_some_and(|r| r.blobs.contains(digest));
        if pushed || self.local_blobs(path).contains(digest) {
            return self.blob_size(digest);
        }
        None
    }

    fn local_blobs(&self, path: &str) -> BTreeSet<Digest> {
        let manifests: BTreeSet<Digest> = {
            let state = self.0.db.read();
            let of_path = local_names(&state).filter(|(n, _)| n.path() == path);
            let images = of_path.filter_map(|(_, name)| state.images.get(&name.image));
            images.map(|r| r.manifest.digest.clone()).collect()
        };
        let mut blobs = BTreeSet::new();
        for digest in manifests {
            let Ok(bytes) = self.blob(&digest) else { continue };
            if let Ok(Document::Manifest(m)) = Document::parse("", &bytes) {
                blobs.insert(m.config.digest);
                blobs.extend(m.layers.into_iter().map(|l| l.digest));
            }
        }
        blobs
    }

    /// Takes a manifest. Everything it points at must be in the repository, except the subject.
    pub fn put_manifest(
        &self,
        path: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(Digest, Option<Digest>)> {
        let _hold = self.hold();
        if bytes.len() as u64 > DOCUMENT_MAX {
            return Err(Error::invalid("manifest is too large"));
        }
        let document = Document::parse(media_type, bytes).map_err(Error::invalid)?;
        let (digest, tag) = match reference.parse::<Digest>() {
            Ok(wanted) => {
                let mut hasher = oci::Hasher::new(wanted.algorithm());
                hasher.update(bytes);
                if hasher.finish() != wanted {
                    return Err(Error::invalid("provided digest did not match uploaded content"));
                }
                (wanted, None)
            }
            Err(_) if oci::reference::is_tag(reference) => {
                (Digest::sha256(bytes), Some(reference.to_owned()))
            }
            Err(_) => return Err(Error::invalid("manifest tag did not match URI")),
        };
        let subject = self.check_parts(path, &document)?;
        self.0.blobs.put_as(bytes, &digest)?;
        let kind = if media_type.is_empty() { declared_type(bytes) } else { media_type.into() };
        self.0.db.change(|state| {
            let repo = state.repos.entry(path.into()).or_default();
            repo.manifests.insert(digest.clone(), kind);
            if let Some(tag) = tag {
                repo.tags.insert(tag, digest.clone());
            }
            Ok(())
        })?;
        Ok((digest, subject))
    }

    fn check_parts(&self, path: &str, document: &Document) -> Result<Option<Digest>> {
        let unknown =
            |d: &Digest| Err(Error::not_found(format!("blob {d} is unknown to the repository")));
        match document {
            Document::Manifest(manifest) => {
                for part in manifest.layers.iter().chain([&manifest.config]) {
                    if part.urls.is_empty() && self.repository_blob(path, &part.digest).is_none() {
                        return unknown(&part.digest);
                    }
                }
                Ok(manifest.subject.as_ref().map(|s| s.digest.clone()))
            }
            Document::Index(index) => {
                for child in &index.manifests {
                    if self.repository_manifest(path, child.digest.as_str())?.is_none() {
                        return unknown(&child.digest);
                    }
                }
                Ok(index.subject.as_ref().map(|s| s.digest.clone()))
            }
        }
    }

    /// Deletes a manifest with its tags, or one tag. Local images are not touched: they are
    /// removed as images. Answers whether there was something to delete.
    pub fn delete_manifest(&self, path: &str, reference: &str) -> Result<bool> {
        let gone = self.0.db.change(|state| {
            let Some(repo) = state.repos.get_mut(path) else { return Ok(false) };
            Ok(match reference.parse::<Digest>() {
                Ok(digest) => {
                    repo.tags.retain(|_, target| *target != digest);
                    repo.manifests.remove(&digest).is_some()
                }
                Err(_) => repo.tags.remove(reference).is_some(),
            })
        })?;
        self.collect()?;
        Ok(gone)
    }

    /// Takes a blob out of a repository.
    pub fn delete_repository_blob(&self, path: &str, digest: &Digest) -> Result<bool> {
        let gone = self.0.db.change(|state| {
            Ok(state.repos.get_mut(path).is_some_and(|repo| repo.blobs.remove(digest)))
        })?;
        self.collect()?;
        Ok(gone)
    }

    /// Makes a blob of another repository known to `path`; without `from`, of any that has it.
    pub fn mount_blob(&self, path: &str, digest: &Digest, from: Option<&str>) -> Result<bool> {
        let _hold = self.hold();
        let here = match from {
            Some(from) => self.repository_blob(from, digest).is_some(),
            None => self.repositories().iter().any(|r| self.repository_blob(r, digest).is_some()),
        };
        if here {
            self.add_blob(path, digest)?;
        }
        Ok(here)
    }

    fn add_blob(&self, path: &str, digest: &Digest) -> Result<()> {
        self.0.db.change(|state| {
            let repo: &mut Repo = state.repos.entry(path.into()).or_default();
            repo.blobs.insert(digest.clone());
            Ok(())
        })
    }

    /// Manifests of the repository whose subject is `digest`.
    pub fn referrers(&self, path: &str, digest: &Digest) -> Result<Index> {
        let manifests = self.0.db.read().repos.get(path).map(|r| r.manifests.clone());
        let mut found = Vec::new();
        for (referrer, media_type) in manifests.unwrap_or_default() {
            let bytes = self.blob(&referrer)?;
            let size = bytes.len() as u64;
            let (subject, artifact_type, annotations) =
                match Document::parse(&media_type, &bytes).map_err(Error::internal)? {
                    Document::Manifest(m) => {
                        let config = Some(m.config.media_type);
                        (m.subject, m.artifact_type.or(config), m.annotations)
                    }
                    Document::Index(i) => (i.subject, i.artifact_type, i.annotations),
                };
            if subject.is_some_and(|s| s.digest == *digest) {
                let plain = Descriptor::new(&media_type, referrer, size);
                found.push(Descriptor { artifact_type, annotations, ..plain });
            }
        }
        Ok(Index::new(found))
    }

    /// Opens an upload; uploads do not survive a restart.
    pub fn start_upload(&self) -> Result<String> {
        let id = format!("{}{}", random_name(), random_name());
        let path = self.upload_path(&id)?;
        OpenOptions::new().write(true).create_new(true).open(&path).at("cannot make", &path)?;
        Ok(id)
    }

    fn upload_path(&self, id: &str) -> Result<PathBuf> {
        if id.len() != 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::not_found("blob upload unknown to registry"));
        }
        Ok(self.0.root.join("ingest").join(format!("tmp-up-{id}")))
    }

    /// How many bytes an upload has.
    pub fn upload_size(&self, id: &str) -> Result<u64> {
        let path = self.upload_path(id)?;
        let meta = std::fs::metadata(path);
        meta.map(|m| m.len()).map_err(|_| Error::not_found("blob upload unknown to registry"))
    }

    /// Writes at `offset`, which must be the end so far. Answers the new size.
    pub fn append_upload(&self, id: &str, offset: u64, bytes: &[u8]) -> Result<u64> {
        let path = self.upload_path(id)?;
        if self.upload_size(id)? != offset {
            return Err(Error::conflict("upload moved meanwhile"));
        }
        let file = OpenOptions::new().write(true).open(&path).at("cannot open", &path)?;
        file.write_all_at(bytes, offset).at("cannot write", &path)?;
        Ok(offset + bytes.len() as u64)
    }

    /// Verifies an upload and makes it a blob of the repository.
    pub fn finish_upload(&self, id: &str, path: &str, digest: &Digest) -> Result<u64> {
        let _hold = self.hold();
        let size = self.upload_size(id)?;
        let file = self.upload_path(id)?;
        if hash_file(&file, digest.algorithm())? != *digest {
            self.cancel_upload(id)?;
            return Err(Error::invalid("provided digest did not match uploaded content"));
        }
        self.0.blobs.promote(&file, digest)?;
        self.add_blob(path, digest)?;
        Ok(size)
    }

    pub fn cancel_upload(&self, id: &str) -> Result<()> {
        self.upload_size(id)?;
        let path = self.upload_path(id)?;
        std::fs::remove_file(&path).at("cannot remove", &path)
    }
}

fn local_names(state: &State) -> impl Iterator<Item = (Reference, &crate::db::Name)> {
    state.names.iter().filter_map(|(text, name)| Some((Reference::parse(text).ok()?, name)))
}

fn by_tag(state: &State, path: &str, tag: &str) -> Option<(Digest, String)> {
    if let Some(repo) = state.repos.get(path)
        && let Some(digest) = repo.tags.get(tag)
    {
        return Some((digest.clone(), repo.manifests.get(digest).cloned().unwrap_or_default()));
    }
    let mut hits = local_names(state).filter(|(n, _)| n.path() == path && n.tag() == Some(tag));
    let (_, name) = hits.next()?;
    // The image's own manifest: an index may name platforms that are not here.
    let record = state.images.get(&name.image)?;
    Some((record.manifest.digest.clone(), record.manifest.media_type.clone()))
}

fn by_digest(state: &State, path: &str, digest: &Digest) -> Option<(Digest, String)> {
    if let Some(kind) = state.repos.get(path).and_then(|r| r.manifests.get(digest)) {
        return Some((digest.clone(), kind.clone()));
    }
    let of_path = local_names(state).filter(|(n, _)| n.path() == path);
    for (_, name) in of_path {
        let record = state.images.get(&name.image)?;
        if record.manifest.digest == *digest {
            return Some((digest.clone(), record.manifest.media_type.clone()));
        }
        if name.target == *digest {
            return Some((digest.clone(), String::new()));
        }
    }
    None
}

/// The media type a document gives itself; by its shape when it gives none.
fn declared_type(bytes: &[u8]) -> String {
    match Document::parse("", bytes) {
        Ok(Document::Manifest(m)) if !m.media_type.is_empty() => m.media_type,
        Ok(Document::Index(i)) if !i.media_type.is_empty() => i.media_type,
        Ok(Document::Index(_)) => media::OCI_INDEX.into(),
        _ => media::OCI_MANIFEST.into(),
    }
}
