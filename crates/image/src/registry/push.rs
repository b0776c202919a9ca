//! `docker push`. Upstream: moby `distribution/push_v2.go`.

use super::credentials;
use super::pull::blocking;
use super::session::{Ask, Session, resolve};
use super::transport::{ChannelBody, RequestBody};
use crate::{
    Error, ErrorKind, Image, ImageStore, Layer, Progress, PushRequest, Pushed, Reporter, Result,
};
use bytes::Bytes;
use http::{Method, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use oci::{Compression, Descriptor, Digest, Manifest, Reference, media};
use std::io::Read;

struct Job<'a> {
    store: &'a ImageStore,
    session: Session,
    reference: Reference,
    /// Repositories of the same registry that may already have our blobs.
    sources: Vec<String>,
    reporter: Reporter,
}

impl ImageStore {
    /// `docker push`: the local image of that name, under that name. Blobs the registry has are
    /// not sent again; blobs other repositories there have are mounted.
    pub async fn push(&self, request: PushRequest) -> Result<Pushed> {
        let reference = request.reference.clone().or_latest();
        let _hold = self.hold();
        let missing = || {
            let name = reference.familiar_name();
            Error::not_found(match reference.tag() {
                Some(_) => format!("An image does not exist locally with the tag: {name}"),
                None => "cannot push a digest reference".to_owned(),
            })
        };
        let id = self.resolve(&reference.to_string()).map_err(|_| missing())?;
        let image = self.get(&id)?;
        let name = reference.name();
        request.reporter.status(format!("The push refers to repository [{name}]"));
        let credentials = match request.auth {
            Some(given) => given,
            None => credentials::of_docker(reference.domain()).await?,
        };
        let sources = self.sources(&image, &reference);
        let mut scopes = vec![format!("repository:{}:pull,push", reference.path())];
        scopes.extend(sources.iter().map(|s| format!("repository:{s}:pull")));
        let mut last = None;
        for place in Session::origin(&self.0.registries, &reference) {
            let session =
                Session::new(&self.0.registries, &place, credentials.clone(), scopes.clone())?;
            let job = Job {
                store: self,
                session,
                reference: reference.clone(),
                sources: sources.clone(),
                reporter: request.reporter.clone(),
            };
            match job.run(&image).await {
                // TLS failed on an insecure registry: plain HTTP is next.
                Err(e) if e.kind == ErrorKind::Unavailable => last = Some(e),
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| Error::internal("no registry to push to")))
    }

    fn sources(&self, image: &Image, to: &Reference) -> Vec<String> {
        let same = |n: &&Reference| n.domain() == to.domain() && n.path() != to.path();
        let names = image.tags.iter().chain(&image.digests).filter(same);
        let mut paths: Vec<String> = names.map(|n| n.path().to_owned()).collect();
        // A base pulled from this registry lies in its own repository.
        let base = image.layers.first();
        let state = self.0.db.read();
        for (text, name) in &state.names {
            let shares = state.images.get(&name.image).is_some_and(|r| r.layers.first() == base);
            let Ok(reference) = Reference::parse(text) else { continue };
            if shares && same(&&reference) {
                paths.push(reference.path().to_owned());
            }
        }
        paths.sort();
        paths.dedup();
        paths.truncate(4);
        paths
    }

    /// The manifest to push: as pulled where all its blobs are here, else made of compressed
    /// layers.
    async fn push_manifest(&self, image: &Image) -> Result<(Descriptor, Vec<u8>, Manifest)> {
        let manifest = self.manifest(image)?;
        let here = |l: &Descriptor| {
            self.0.blobs.has(&l.digest)
                && Compression::of_media_type(&l.media_type) != Some(Compression::None)
        };
        if manifest.layers.iter().all(here) {
            let bytes = self.blob(&image.manifest.digest)?;
            return Ok((image.manifest.clone(), bytes, manifest));
        }
        let mut layers = Vec::new();
        for layer in &image.layers {
            layers.push(self.compressed(layer).await?);
        }
        let manifest = Manifest { layers, ..manifest };
        let bytes = serde_json::to_vec(&manifest).expect("plain data");
        self.0.blobs.put(&bytes)?;
        Ok((Descriptor::of(&manifest.media_type, &bytes), bytes, manifest))
    }

    /// The compressed blob of a layer, made once.
    async fn compressed(&self, layer: &Layer) -> Result<Descriptor> {
        let known = self.descriptor(layer)?;
        let packed = Compression::of_media_type(&known.media_type) != Some(Compression::None);
        if packed && self.0.blobs.has(&known.digest) {
            return Ok(known);
        }
        let (store, layer) = (self.clone(), layer.clone());
        blocking(move || {
            let mut gzip = crate::codec::gzip(store.0.blobs.writer()?);
            let mut hasher = oci::Hasher::new(oci::Algorithm::Sha256);
            let mut tar = store.layer_tar(&layer)?;
            let mut buffer = vec![0; 128 << 10];
            loop {
                let got = tar.read(&mut buffer).map_err(|e| io_error(&layer, e))?;
                if got == 0 {
                    break;
                }
                hasher.update(&buffer[..got]);
                std::io::Write::write_all(&mut gzip, &buffer[..got])
                    .map_err(|e| io_error(&layer, e))?;
            }
            if hasher.finish() != layer.diff_id {
                return Err(Error::internal(format!("layer {} changed on disk", layer.diff_id)));
            }
            let writer = gzip.finish().map_err(|e| io_error(&layer, e))?;
            let (digest, size) = writer.commit(None, oci::Algorithm::Sha256)?;
            let packed = Descriptor::new(media::OCI_LAYER_GZIP, digest, size);
            store.0.layers.set_packed(&layer.key, packed.clone())?;
            Ok(packed)
        })
        .await
    }
}

fn io_error(layer: &Layer, e: std::io::Error) -> Error {
    Error { source: Some(e), ..Error::internal(format!("cannot compress layer {}", layer.diff_id)) }
}

impl Job<'_> {
    async fn run(&self, image: &Image) -> Result<Pushed> {
        let (mut descriptor, bytes, manifest) = self.prepared(image).await?;
        for layer in &manifest.layers {
            self.layer(layer).await?;
        }
        if !self.exists(&manifest.config.digest).await? {
            self.upload(&manifest.config, &Reporter::none()).await?;
        }
        if descriptor.media_type.is_empty() {
            descriptor.media_type = media::OCI_MANIFEST.into();
        }
        let tag = self.reference.tag().unwrap_or("latest");
        self.put_manifest(tag, &descriptor, &bytes).await?;
        let (digest, size) = (descriptor.digest, descriptor.size);
        self.store.0.db.change(|state| {
            state.set_name(&self.reference.with_digest(digest.clone()), &image.id, &digest);
            Ok(())
        })?;
        self.reporter.status(format!("{tag}: digest: {digest} size: {size}"));
        let aux = serde_json::json!({"Tag": tag, "Digest": digest, "Size": size});
        self.reporter.send(Progress { aux: Some(aux), ..Progress::default() });
        Ok(Pushed { digest, size })
    }

    async fn prepared(&self, image: &Image) -> Result<(Descriptor, Vec<u8>, Manifest)> {
        for layer in &image.layers {
            self.reporter.layer(layer.diff_id.short(), "Preparing");
        }
        // Ask before compressing: a registry that refuses should do so at once.
        let ask = Ask::new(Method::GET, self.ping_uri());
        self.session.get_ok(&ask).await?.map_err(|r| r.plain())?;
        self.store.push_manifest(image).await
    }

    fn ping_uri(&self) -> String {
        let at = self.session.base.find("/v2/").map_or(self.session.base.len(), |at| at + 4);
        self.session.base[..at].to_owned()
    }

    async fn layer(&self, layer: &Descriptor) -> Result<()> {
        let short = layer.digest.short();
        if self.exists(&layer.digest).await? {
            self.reporter.layer(short, "Layer already exists");
            return Ok(());
        }
        for source in &self.sources {
            if self.mount(&layer.digest, source).await? {
                self.reporter.layer(short, &format!("Mounted from {}", familiar_path(source)));
                return Ok(());
            }
        }
        self.upload(layer, &self.reporter).await?;
        self.reporter.layer(short, "Pushed");
        Ok(())
    }

    async fn exists(&self, digest: &Digest) -> Result<bool> {
        let ask = Ask::new(Method::HEAD, format!("{}/blobs/{digest}", self.session.base));
        let response = self.session.send(&ask).await?;
        Ok(response.status() == StatusCode::OK)
    }

    async fn mount(&self, digest: &Digest, from: &str) -> Result<bool> {
        let query = super::auth::encode(&[("mount", digest.to_string()), ("from", from.into())]);
        let uri = format!("{}/blobs/uploads/?{query}", self.session.base);
        let response = self.session.send(&Ask::new(Method::POST, uri)).await?;
        if response.status() == StatusCode::ACCEPTED
            && let Ok(location) = location(&self.session.base, response.headers())
        {
            // The registry opened an upload instead; it is not wanted.
            let _ = self.session.send(&Ask::new(Method::DELETE, location)).await;
        }
        Ok(response.status() == StatusCode::CREATED)
    }

    async fn upload(&self, blob: &Descriptor, reporter: &Reporter) -> Result<()> {
        let start = Ask::new(Method::POST, format!("{}/blobs/uploads/", self.session.base));
        let response = self.session.get_ok(&start).await?.map_err(|r| r.plain())?;
        let location = location(&self.session.base, response.headers())?;
        let join = if location.contains('?') { '&' } else { '?' };
        let query = super::auth::encode(&[("digest", blob.digest.to_string())]);
        let body = || self.body(blob, reporter);
        let mut ask = Ask::new(Method::PUT, format!("{location}{join}{query}"))
            .with(header::CONTENT_TYPE, "application/octet-stream")
            .with(header::CONTENT_LENGTH, blob.size.to_string());
        ask.body = Some(&body);
        self.session.get_ok(&ask).await?.map_err(|r| r.plain())?;
        Ok(())
    }

    /// The blob as a request body, read on a thread.
    fn body(&self, blob: &Descriptor, reporter: &Reporter) -> RequestBody {
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let (store, blob, reporter) = (self.store.clone(), blob.clone(), reporter.clone());
        tokio::task::spawn_blocking(move || {
            let sent = send_blob(&store, &blob, &reporter, &sender);
            if let Err(e) = sent {
                // The receiver is gone when the request failed; its error counts.
                let _ = sender.blocking_send(Err(e.into()));
            }
        });
        ChannelBody(receiver).boxed_unsync()
    }

    async fn put_manifest(&self, tag: &str, what: &Descriptor, bytes: &[u8]) -> Result<()> {
        let bytes = Bytes::copy_from_slice(bytes);
        let body = || Full::new(bytes.clone()).map_err(|never| match never {}).boxed_unsync();
        let mut ask = Ask::new(Method::PUT, format!("{}/manifests/{tag}", self.session.base))
            .with(header::CONTENT_TYPE, what.media_type.clone());
        ask.body = Some(&body);
        self.session.get_ok(&ask).await?.map_err(|r| r.plain())?;
        Ok(())
    }
}

fn send_blob(
    store: &ImageStore,
    blob: &Descriptor,
    reporter: &Reporter,
    sender: &tokio::sync::mpsc::Sender<std::io::Result<Bytes>>,
) -> Result<()> {
    let (_, mut stream) = store.blob_stream(&blob.digest)?;
    let mut sent = 0;
    loop {
        let mut chunk = vec![0; 256 << 10];
        let got = stream
            .read(&mut chunk)
            .map_err(|e| Error { source: Some(e), ..Error::internal("cannot read a blob") })?;
        if got == 0 {
            return Ok(());
        }
        chunk.truncate(got);
        sent += got as u64;
        reporter.bytes(blob.digest.short(), "Pushing", sent, blob.size);
        if sender.blocking_send(Ok(chunk.into())).is_err() {
            return Ok(());
        }
    }
}

fn location(base: &str, headers: &http::HeaderMap) -> Result<String> {
    let text = headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
    let base: Option<Uri> = base.parse().ok();
    let resolved = text.zip(base).and_then(|(text, base)| resolve(&base, text));
    resolved
        .map(|uri| uri.to_string())
        .ok_or_else(|| Error::unavailable("the registry named no place to upload to"))
}

fn familiar_path(path: &str) -> &str {
    path.strip_prefix("library/").unwrap_or(path)
}
