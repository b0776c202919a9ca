//! `docker load`: docker archives (with or without the OCI layout beside) and OCI layouts.
//! Upstream: moby `image/tarexport/load.go`.

use crate::db::Record;
use crate::error::Doing as _;
use crate::layers::{Place, Scratch};
use crate::unpack::{UnpackOptions, Whiteouts, clean, unpack};
use crate::{Error, Layer, Loaded, Reporter, Result};
use crate::{ImageStore, content, create::printed_digest, store::DOCUMENT_MAX};
use oci::{
    Algorithm, Descriptor, Digest, Document, ImageConfig, Manifest, Platform, Reference, media,
};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// One row of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl ImageStore {
    /// `docker load`: the archive may be plain, gzip, zstd or xz. Each image is complete before
    /// its names move to it.
    pub fn load(&self, tar: &mut (dyn Read + Send), reporter: &Reporter) -> Result<Vec<Loaded>> {
        let _hold = self.hold();
        let folder = self.0.root.join("ingest").join(format!("tmp-{}", content::random_name()));
        std::fs::create_dir(&folder).at("cannot make", &folder)?;
        let folder = Scratch(folder);
        let mut plain = crate::codec::decoder(tar)?;
        unpack(&mut plain, &folder.0, &UnpackOptions::new(Whiteouts::Literal))?;
        let archive = Archive(folder.0.clone());
        if let Some(rows) = archive.document("manifest.json")? {
            let rows: Vec<Row> = parse(&rows, "manifest.json")?;
            return rows.iter().map(|row| self.load_row(&archive, row, reporter)).collect();
        }
        if let Some(index) = archive.document("index.json")? {
            return self.load_layout(&archive, &index, reporter);
        }
        if archive.document("repositories")?.is_some() {
            return Err(Error::invalid(
                "archives of docker before 1.10 (without manifest.json) are not supported",
            ));
        }
        Err(Error::invalid("invalid archive: neither manifest.json nor index.json is in it"))
    }

    /// A row of docker's own format: loose config and layer files.
    fn load_row(&self, archive: &Archive, row: &Row, reporter: &Reporter) -> Result<Loaded> {
        let missing = || Error::invalid(format!("config {} is missing in the archive", row.config));
        let config = archive.document(&row.config)?.ok_or_else(missing)?;
        // An archive with both forms describes its images better in the layout: there the
        // manifest keeps its digest.
        let id = Digest::sha256(&config);
        let names = tags(row.repo_tags.iter().flatten())?;
        if let Some(manifest) = archive.manifest_of(&id)? {
            return self.load_manifest(archive, &manifest, names, reporter);
        }
        let parsed: ImageConfig = parse(&config, &row.config)?;
        let files: Vec<&String> = row.layers.iter().flatten().collect();
        if files.len() != parsed.rootfs.diff_ids.len() {
            return Err(Error::invalid(format!(
                "invalid manifest, layers length mismatch: expected {}, got {}",
                parsed.rootfs.diff_ids.len(),
                files.len()
            )));
        }
        let sources = files.iter().map(|f| archive.resolve(f)).collect::<Result<Vec<_>>>()?;
        let layers = self.load_layers(&parsed, &sources, reporter)?;
        self.0.blobs.put(&config)?;
        let descriptors = layers.iter().map(|l| self.descriptor(l)).collect::<Result<Vec<_>>>()?;
        let manifest = Manifest::image(Descriptor::of(media::OCI_CONFIG, &config), descriptors);
        let bytes = serde_json::to_vec(&manifest).expect("plain data");
        self.0.blobs.put(&bytes)?;
        self.finish(id, Descriptor::of(media::OCI_MANIFEST, &bytes), layers, names)
    }

    fn load_layout(
        &self,
        archive: &Archive,
        index: &[u8],
        reporter: &Reporter,
    ) -> Result<Vec<Loaded>> {
        let Document::Index(index) = Document::parse("", index).map_err(Error::invalid)? else {
            return Err(Error::invalid("index.json is not an image index"));
        };
        let mut loaded = Vec::new();
        for entry in &index.manifests {
            let named = ["io.containerd.image.name", "org.opencontainers.image.ref.name"]
                .iter()
                .find_map(|key| entry.annotations.get(*key))
                .filter(|name| name.contains(['/', ':']));
            let names = tags(named.into_iter())?;
            let Some(manifest) = archive.choose(entry, 0)? else { continue };
            loaded.push(self.load_manifest(archive, &manifest, names, reporter)?);
        }
        match loaded.is_empty() {
            true => Err(Error::invalid("the archive has no image for this platform")),
            false => Ok(loaded),
        }
    }

    fn load_manifest(
        &self,
        archive: &Archive,
        descriptor: &Descriptor,
        names: Vec<Reference>,
        reporter: &Reporter,
    ) -> Result<Loaded> {
        let bytes = archive.blob(&descriptor.digest)?;
        let Ok(Document::Manifest(manifest)) = Document::parse("", &bytes) else {
            return Err(Error::invalid(format!("{} is not an image manifest", descriptor.digest)));
        };
        let config = archive.blob(&manifest.config.digest)?;
        let parsed: ImageConfig = parse(&config, "image config")?;
        if manifest.layers.len() != parsed.rootfs.diff_ids.len() {
            return Err(Error::invalid("layers of manifest and config do not match"));
        }
        let path = |d: &Descriptor| archive.resolve(&blob_path(&d.digest));
        let sources = manifest.layers.iter().map(path).collect::<Result<Vec<_>>>()?;
        for (source, layer) in sources.iter().zip(&manifest.layers) {
            if content::hash_file(source, layer.digest.algorithm())? != layer.digest {
                return Err(Error::invalid(format!("content of {} does not match", layer.digest)));
            }
        }
        let layers = self.load_layers(&parsed, &sources, reporter)?;
        self.0.blobs.put_as(&config, &manifest.config.digest)?;
        self.0.blobs.put_as(&bytes, &descriptor.digest)?;
        let target =
            Descriptor::new(media::OCI_MANIFEST, descriptor.digest.clone(), bytes.len() as u64);
        self.finish(manifest.config.digest, target, layers, names)
    }

    fn finish(
        &self,
        id: Digest,
        manifest: Descriptor,
        layers: Vec<Layer>,
        names: Vec<Reference>,
    ) -> Result<Loaded> {
        let record = Record { manifest, layers, parent: None, last_tagged: String::new() };
        self.register(&id, record, &names, None)?;
        Ok(Loaded { id, names })
    }

    /// Unpacks layer files, bottom first, and keeps what is needed to give them out again.
    fn load_layers(
        &self,
        config: &ImageConfig,
        sources: &[PathBuf],
        reporter: &Reporter,
    ) -> Result<Vec<Layer>> {
        let chains = oci::config::chain_ids(&config.rootfs.diff_ids);
        let mut layers: Vec<Layer> = Vec::new();
        for ((diff_id, chain), source) in config.rootfs.diff_ids.iter().zip(&chains).zip(sources) {
            if let Some(known) = self.0.layers.find(diff_id, chain) {
                layers.push(known.layer);
                continue;
            }
            reporter.layer(diff_id.short(), "Loading layer");
            let place = Place { diff_id: Some(diff_id), lowest: layers.is_empty() };
            let open = || File::open(source).at("cannot open", source);
            let layer = match self.0.layers.unpack(&mut open()?, &place)? {
                Some(layer) => layer,
                None => self.0.layers.unpack_above(&mut open()?, &place, &layers, chain)?,
            };
            self.keep_archive(&layer, source)?;
            layers.push(layer);
        }
        Ok(layers)
    }

    /// Keeps the layer's file as a blob, unless printing the folder gives the same tar.
    fn keep_archive(&self, layer: &Layer, source: &Path) -> Result<()> {
        let mut head = [0; 6];
        let n = File::open(source).at("cannot open", source)?.read(&mut head).doing("reading")?;
        let media_type = match crate::codec::detect(&head[..n])? {
            crate::codec::Packing::Gzip => media::OCI_LAYER_GZIP,
            crate::codec::Packing::Zstd => media::OCI_LAYER_ZSTD,
            crate::codec::Packing::Plain => media::OCI_LAYER,
            crate::codec::Packing::Xz => return Err(Error::invalid("xz layers are not supported")),
        };
        let folder = self.0.layers.path(&layer.key);
        if media_type == media::OCI_LAYER && printed_digest(&folder)?.0 == layer.diff_id {
            return self.0.layers.set_printable(&layer.key);
        }
        let digest = content::hash_file(source, Algorithm::Sha256)?;
        let size = std::fs::metadata(source).at("cannot read", source)?.len();
        // Linked, not moved: another image of the archive may have the same layer.
        if !self.0.blobs.has(&digest) {
            let blob = self.0.blobs.path(&digest);
            std::fs::hard_link(source, &blob).at("cannot name", &blob)?;
        }
        self.0.layers.set_packed(&layer.key, Descriptor::new(media_type, digest, size))
    }
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8], name: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Error::invalid(format!("{name} is not valid: {e}")))
}

fn tags<'a>(texts: impl Iterator<Item = &'a String>) -> Result<Vec<Reference>> {
    texts.map(|t| Ok(Reference::parse_tagged(t)?)).collect()
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// An unpacked archive; its files are only reached without leaving it.
struct Archive(PathBuf);

impl Archive {
    /// The real path of a file in the archive (docker 1.10 to 24 linked equal layers).
    fn resolve(&self, name: &str) -> Result<PathBuf> {
        let fd = self.open(name)?;
        let fd = fd.ok_or_else(|| Error::invalid(format!("{name} is missing in the archive")))?;
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
        std::fs::read_link(&link).at("cannot resolve", Path::new(name))
    }

    fn open(&self, name: &str) -> Result<Option<File>> {
        let root = rustix::fs::open(&self.0, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .at("cannot open", &self.0)?;
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat2(&root, clean(name.as_bytes())?, flags, Mode::empty(), inside) {
            Ok(fd) => {
                let file = File::from(fd);
                let plain = file.metadata().doing("reading the archive")?.is_file();
                plain
                    .then_some(Some(file))
                    .ok_or_else(|| Error::invalid(format!("{name} is no file")))
            }
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(e) => Err(e).at("cannot open", Path::new(name)),
        }
    }

    fn document(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(DOCUMENT_MAX + 1).read_to_end(&mut bytes).doing("reading the archive")?;
        if bytes.len() as u64 > DOCUMENT_MAX {
            return Err(Error::invalid(format!("{name} is too large")));
        }
        Ok(Some(bytes))
    }

    fn blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let name = blob_path(digest);
        let missing = || Error::invalid(format!("{name} is missing in the archive"));
        let bytes = self.document(&name)?.ok_or_else(missing)?;
        let mut hasher = oci::Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        match hasher.finish() == *digest {
            true => Ok(bytes),
            false => Err(Error::invalid(format!("content of {name} does not match its digest"))),
        }
    }

    /// The layout's manifest whose config is `id`.
    fn manifest_of(&self, id: &Digest) -> Result<Option<Descriptor>> {
        let Some(bytes) = self.document("index.json")? else { return Ok(None) };
        let Ok(Document::Index(index)) = Document::parse("", &bytes) else { return Ok(None) };
        for entry in &index.manifests {
            let Some(found) = self.choose(entry, 0)? else { continue };
            let Ok(Document::Manifest(m)) = Document::parse("", &self.blob(&found.digest)?) else {
                continue;
            };
            if m.config.digest == *id {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Follows indexes down to the manifest for this host.
    fn choose(&self, entry: &Descriptor, depth: usize) -> Result<Option<Descriptor>> {
        if depth > 4 {
            return Err(Error::invalid("indexes are nested too deeply"));
        }
        let bytes = self.blob(&entry.digest)?;
        match Document::parse("", &bytes).map_err(Error::invalid)? {
            Document::Manifest(_) => Ok(Some(entry.clone())),
            Document::Index(index) => {
                match oci::platform::select(&index.manifests, &Platform::host()) {
                    Some(next) if self.open(&blob_path(&next.digest))?.is_some() => {
                        self.choose(next, depth + 1)
                    }
                    _ => Ok(None),
                }
            }
        }
    }
}
