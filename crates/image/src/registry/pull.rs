//! `docker pull`. Upstream: moby `distribution/pull_v2.go`.

use super::fetch::Download;
use super::follow::{Follower, Tide};
use super::session::{Ask, Session, drain};
use super::{Credentials, credentials};
use crate::db::Record;
use crate::error::Doing as _;
use crate::layers::Place;
use crate::store::DOCUMENT_MAX;
use crate::{Error, ErrorKind, ImageStore, Layer, Progress, PullRequest, Pulled, Reporter, Result};
use http::{Method, header};
use oci::{
    Compression, Descriptor, Digest, Document, Hasher, ImageConfig, Manifest, Platform, Reference,
    media,
};
use std::fs::OpenOptions;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Layers fetched and unpacked at once; Docker's default is 3.
const PARALLEL: usize = 4;

/// What a pull works on.
struct Job {
    store: ImageStore,
    session: Session,
    reference: Reference,
    platform: Platform,
    reporter: Reporter,
}

/// The documents of one image.
struct Documents {
    /// What the reference names: index or manifest.
    top: (Digest, Vec<u8>),
    manifest: (Descriptor, Vec<u8>, Manifest),
}

impl ImageStore {
    /// `docker pull`: mirrors are tried first, then the registry. Everything is verified; an
    /// interrupted pull goes on where it stopped when it is asked for again. Dropping the future
    /// cancels it.
    pub async fn pull(&self, request: PullRequest) -> Result<Pulled> {
        let reference = request.reference.clone().or_latest();
        let _hold = self.hold();
        let credentials = match request.auth {
            Some(given) => given,
            None => credentials::of_docker(reference.domain()).await?,
        };
        let tag = reference.tag().unwrap_or_else(|| reference.digest().map_or("", Digest::as_str));
        request.reporter.layer(tag, &format!("Pulling from {}", reference.path()));
        let scopes = vec![format!("repository:{}:pull", reference.path())];
        let mut last: Option<Error> = None;
        for place in Session::places(&self.0.registries, &reference) {
            let own = place.0 == reference.domain();
            let credentials = if own { credentials.clone() } else { Credentials::default() };
            let job = Job {
                store: self.clone(),
                session: Session::new(&self.0.registries, &place, credentials, scopes.clone())?,
                reference: reference.clone(),
                platform: request.platform.clone().unwrap_or_else(Platform::host),
                reporter: request.reporter.clone(),
            };
            match job.run().await {
                Ok(pulled) => return Ok(pulled),
                // The words of the registry count more than those of an unreachable second try.
                Err(e) => last = Some(better(last, e)),
            }
        }
        Err(last.unwrap_or_else(|| Error::internal("no registry to pull from")))
    }
}

pub(super) fn better(old: Option<Error>, new: Error) -> Error {
    match old {
        Some(old) if new.kind == ErrorKind::Unavailable && old.kind != ErrorKind::Unavailable => {
            old
        }
        // Plain HTTP was refused after TLS had failed: the first error tells why.
        Some(old)
            if new.message.starts_with("Get \"http:") && old.message.contains("certificate") =>
        {
            old
        }
        _ => new,
    }
}

impl Job {
    async fn run(&self) -> Result<Pulled> {
        let documents = self.documents().await?;
        let (descriptor, bytes, manifest) = &documents.manifest;
        let id = manifest.config.digest.clone();
        let known = self.store.0.db.read().images.contains_key(&id);
        let pins = self.pin(&documents)?;
        let config = self.config(&manifest.config).await?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(Error::invalid("layers of manifest and config do not match"));
        }
        let layers = self.layers(manifest, &config).await?;
        let blobs = &self.store.0.blobs;
        blobs.put_as(bytes, &descriptor.digest)?;
        blobs.put_as(&documents.top.1, &documents.top.0)?;
        let record = Record {
            manifest: descriptor.clone(),
            layers,
            parent: None,
            last_tagged: String::new(),
        };
        let mut names = vec![self.reference.with_digest(documents.top.0.clone())];
        names.extend(self.reference.tag().and_then(|tag| self.reference.with_tag(tag).ok()));
        let before = self.named(&names);
        self.store.register(&id, record, &names, Some(&documents.top.0))?;
        crate::layers::remove_any(&pins)?;
        let downloaded = !known || before.as_ref() != Some(&id);
        self.tell_end(&documents.top.0, downloaded);
        Ok(Pulled { id, digest: documents.top.0, downloaded })
    }

    fn named(&self, names: &[Reference]) -> Option<Digest> {
        let name = names.last().map(ToString::to_string)?;
        self.store.0.db.read().names.get(&name).map(|n| n.image.clone())
    }

    fn tell_end(&self, digest: &Digest, downloaded: bool) {
        self.reporter.status(format!("Digest: {digest}"));
        let familiar = self.reference.familiar();
        self.reporter.status(match downloaded {
            true => format!("Status: Downloaded newer image for {familiar}"),
            false => format!("Status: Image is up to date for {familiar}"),
        });
    }

    /// Keeps whole blobs of this pull from being freed if it is interrupted.
    fn pin(&self, documents: &Documents) -> Result<std::path::PathBuf> {
        let manifest = &documents.manifest.2;
        let mut digests: Vec<&Digest> = manifest.layers.iter().map(|l| &l.digest).collect();
        digests.push(&manifest.config.digest);
        let name = Digest::sha256(self.reference.to_string().as_bytes());
        let path = self.store.0.root.join("ingest").join(format!("{}.pull", name.short()));
        let bytes = serde_json::to_vec(&digests).expect("plain data");
        crate::layers::write_atomic(&path, &bytes)?;
        Ok(path)
    }

    async fn documents(&self) -> Result<Documents> {
        let wanted = self.reference.digest().map(|d| d.to_string());
        let name = wanted.unwrap_or_else(|| self.reference.tag().unwrap_or("latest").into());
        let (media_type, top) = self.document(&name).await?;
        let digest = match self.reference.digest() {
            Some(digest) => check(&top, digest)?,
            None => Digest::sha256(&top),
        };
        match Document::parse(&media_type, &top).map_err(Error::invalid)? {
            Document::Manifest(manifest) => {
                let kind = if manifest.media_type.is_empty() {
                    media_type
                } else {
                    manifest.media_type.clone()
                };
                let descriptor = Descriptor::new(&kind, digest.clone(), top.len() as u64);
                Ok(Documents { top: (digest, top.clone()), manifest: (descriptor, top, manifest) })
            }
            Document::Index(index) => {
                let chosen = oci::platform::select(&index.manifests, &self.platform);
                let chosen = chosen.ok_or_else(|| {
                    Error::not_found(format!(
                        "no matching manifest for {} in the manifest list entries",
                        self.platform
                    ))
                })?;
                let (_, bytes) = self.document(chosen.digest.as_str()).await?;
                check(&bytes, &chosen.digest)?;
                match Document::parse(&chosen.media_type, &bytes).map_err(Error::invalid)? {
                    Document::Manifest(manifest) => Ok(Documents {
                        top: (digest, top),
                        manifest: (chosen.clone(), bytes, manifest),
                    }),
                    Document::Index(_) => Err(Error::invalid("an index inside an index")),
                }
            }
        }
    }

    async fn document(&self, name: &str) -> Result<(String, Vec<u8>)> {
        let mut ask = Ask::new(Method::GET, format!("{}/manifests/{name}", self.session.base));
        for accept in media::ACCEPT_MANIFEST {
            ask = ask.with(header::ACCEPT, accept);
        }
        let response = self.session.get_ok(&ask).await?.map_err(|refusal| {
            refusal.of_pull(&self.reference.familiar_name(), &self.reference.familiar())
        })?;
        let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let media_type = media_type.unwrap_or_default().split(';').next().unwrap_or_default();
        let media_type = media_type.trim().to_owned();
        let limit = usize::try_from(DOCUMENT_MAX).expect("fits");
        Ok((media_type, drain(response, limit).await?.to_vec()))
    }

    async fn config(&self, descriptor: &Descriptor) -> Result<ImageConfig> {
        if !media::is_config(&descriptor.media_type) {
            return Err(Error::invalid(format!(
                "invalid media type {} for an image config: this is an artifact, not an image",
                descriptor.media_type
            )));
        }
        if !self.store.0.blobs.has(&descriptor.digest) {
            let uri = format!("{}/blobs/{}", self.session.base, descriptor.digest);
            let ask = Ask::new(Method::GET, uri);
            let response = self.session.get_ok(&ask).await?.map_err(|r| r.plain())?;
            let bytes = drain(response, usize::try_from(DOCUMENT_MAX).expect("fits")).await?;
            check(&bytes, &descriptor.digest)?;
            self.store.0.blobs.put_as(&bytes, &descriptor.digest)?;
        }
        self.store.config(&descriptor.digest)
    }

    /// All layers, fetched and unpacked side by side.
    async fn layers(&self, manifest: &Manifest, config: &ImageConfig) -> Result<Vec<Layer>> {
        let chains = oci::config::chain_ids(&config.rootfs.diff_ids);
        let limit = Arc::new(Semaphore::new(PARALLEL));
        let rows = manifest.layers.iter().zip(&config.rootfs.diff_ids).zip(&chains);
        for layer in &manifest.layers {
            self.reporter.layer(layer.digest.short(), "Pulling fs layer");
        }
        let tasks = rows.enumerate().map(|(at, ((blob, diff_id), chain))| {
            let limit = limit.clone();
            async move {
                let _turn = limit.acquire().await.expect("never closed");
                self.layer(blob, diff_id, chain, at == 0).await
            }
        });
        let unpacked = join_all(tasks.collect()).await?;
        self.settle(manifest, config, unpacked).await
    }

    /// Layers that lean on those below are applied in order, now that all blobs are here.
    async fn settle(
        &self,
        manifest: &Manifest,
        config: &ImageConfig,
        unpacked: Vec<Option<Layer>>,
    ) -> Result<Vec<Layer>> {
        let chains = oci::config::chain_ids(&config.rootfs.diff_ids);
        let mut layers: Vec<Layer> = Vec::new();
        for (at, layer) in unpacked.into_iter().enumerate() {
            if let Some(layer) = layer {
                layers.push(layer);
                continue;
            }
            let (store, below) = (self.store.clone(), layers.clone());
            let (blob, diff_id) = (manifest.layers[at].clone(), config.rootfs.diff_ids[at].clone());
            let chain = chains[at].clone();
            let short = blob.digest.short().to_owned();
            let applied = blocking(move || {
                let place = Place { diff_id: Some(&diff_id), lowest: false };
                let mut packed = store.0.blobs.file(&blob.digest)?;
                let layer = store.0.layers.unpack_above(&mut packed, &place, &below, &chain)?;
                store.0.layers.set_packed(&layer.key, blob)?;
                Ok(layer)
            });
            layers.push(applied.await?);
            self.reporter.layer(&short, "Pull complete");
        }
        Ok(layers)
    }

    /// One layer; `None` when it has to be applied to those below.
    async fn layer(
        &self,
        blob: &Descriptor,
        diff_id: &Digest,
        chain: &Digest,
        lowest: bool,
    ) -> Result<Option<Layer>> {
        let short = blob.digest.short();
        if Compression::of_media_type(&blob.media_type).is_none() {
            return Err(Error::invalid(format!("unsupported layer type {}", blob.media_type)));
        }
        let _alone = self.store.0.flights.enter(blob.digest.as_str()).await;
        if let Some(known) = self.store.0.layers.find(diff_id, chain) {
            self.reporter.layer(short, "Already exists");
            return Ok(Some(known.layer));
        }
        let partial = self.store.0.blobs.partial(&blob.digest);
        let whole = self.store.0.blobs.has(&blob.digest);
        let path = if whole { self.store.0.blobs.path(&blob.digest) } else { partial.clone() };
        let mut options = OpenOptions::new();
        options.read(true).write(!whole).create(!whole);
        let file = options.open(&path).at("cannot open", &path)?;
        let have = file.metadata().at("cannot read", &path)?.len();
        if have > blob.size {
            crate::layers::remove_any(&path)?;
            return Err(Error::invalid(format!("blob {} is longer than announced", blob.digest)));
        }
        let tide = Arc::new(Tide::default());
        let follower = Follower::new(
            file.try_clone().doing("cannot share a file")?,
            tide.clone(),
            &blob.digest,
        );
        let unpacking = self.unpack(follower, blob.clone(), diff_id.clone(), lowest);
        let download =
            Download { session: &self.session, blob, file: &file, tide, reporter: &self.reporter };
        let downloading = async {
            download.run(have).await?;
            self.reporter.layer(short, "Download complete");
            Ok::<(), Error>(())
        };
        let (downloaded, unpacked) = tokio::join!(downloading, unpacking);
        downloaded?;
        let (digest, unpacked) = unpacked?;
        if digest != blob.digest {
            crate::layers::remove_any(&path)?;
            return Err(Error::invalid(format!(
                "filesystem layer verification failed for digest {}",
                blob.digest
            )));
        }
        if !whole {
            let (blobs, digest) = (self.store.0.blobs.clone(), blob.digest.clone());
            blocking(move || blobs.promote(&partial, &digest)).await?;
        }
        let Some(layer) = unpacked? else { return Ok(None) };
        self.store.0.layers.set_packed(&layer.key, blob.clone())?;
        self.reporter.layer(short, "Pull complete");
        Ok(Some(layer))
    }

    /// Unpacks behind the download on a thread. Answers the blob's digest and what became of it.
    async fn unpack(
        &self,
        mut follower: Follower,
        blob: Descriptor,
        diff_id: Digest,
        lowest: bool,
    ) -> Result<(Digest, Result<Option<Layer>>)> {
        let store = self.store.clone();
        let reporter = self.reporter.clone();
        blocking(move || {
            let place = Place { diff_id: Some(&diff_id), lowest };
            reporter.layer(blob.digest.short(), "Extracting");
            let unpacked = store.0.layers.unpack(&mut follower, &place);
            // A broken archive is only to blame when its bytes are the right ones.
            Ok((follower.digest().doing("reading the download")?, unpacked))
        })
        .await
    }
}

fn check(bytes: &[u8], wanted: &Digest) -> Result<Digest> {
    let mut hasher = Hasher::new(wanted.algorithm());
    hasher.update(bytes);
    let found = hasher.finish();
    match found == *wanted {
        true => Ok(found),
        false => Err(Error::invalid(format!(
            "content does not match digest: {found} instead of {wanted}"
        ))),
    }
}

/// Runs blocking work on a thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(e) => Err(Error::internal(format!("a worker failed: {e}"))),
    }
}

/// Polls all together; the first error ends all.
async fn join_all<T: Unpin, F: Future<Output = Result<T>>>(futures: Vec<F>) -> Result<Vec<T>> {
    let mut slots: Vec<_> = futures.into_iter().map(|f| (Some(Box::pin(f)), None)).collect();
    std::future::poll_fn(move |cx| {
        let mut waiting = false;
        for (running, done) in &mut slots {
            let Some(future) = running else { continue };
            match future.as_mut().poll(cx) {
                std::task::Poll::Pending => waiting = true,
                std::task::Poll::Ready(Err(e)) => return std::task::Poll::Ready(Err(e)),
                std::task::Poll::Ready(Ok(value)) => (*running, *done) = (None, Some(value)),
            }
        }
        if waiting {
            return std::task::Poll::Pending;
        }
        let all = slots.iter_mut().map(|(_, done)| done.take().expect("all are done"));
        std::task::Poll::Ready(Ok(all.collect()))
    })
    .await
}

impl Progress {
    /// True for lines that only count bytes.
    pub fn is_count(&self) -> bool {
        self.current.is_some()
    }
}
