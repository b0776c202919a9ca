//! `docker save`: an OCI layout with docker's `manifest.json` and `repositories` beside, as docker
//! 25 and later write it. Upstream: moby `image/tarexport/save.go`.

use crate::tar::{Entry, Kind, Writer};
use crate::{Error, Image, ImageStore, Result};
use oci::{Descriptor, Digest, Document, Index, Manifest, Reference, media};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

impl ImageStore {
    /// `docker save`: names or IDs into one archive. A name without a tag saves all its tags, as
    /// in Docker.
    pub fn save(&self, names: &[String], out: &mut dyn Write) -> Result<()> {
        let _hold = self.hold();
        let wanted = self.wanted(names)?;
        let mut files = BTreeMap::new();
        let (mut index, mut rows) = (Vec::new(), Vec::new());
        let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut blobs = BTreeSet::new();
        for (image, tags) in &wanted {
            let manifest = self.manifest(image)?;
            blobs.insert(image.manifest.digest.clone());
            blobs.insert(manifest.config.digest.clone());
            blobs.extend(manifest.layers.iter().map(|l| l.digest.clone()));
            index.extend(index_entries(image, tags));
            rows.push(row(&manifest, tags));
            for tag in tags {
                let last = manifest.layers.last().map_or("", |l| l.digest.hex());
                let repo = repositories.entry(tag.familiar_name()).or_default();
                repo.insert(tag.tag().unwrap_or("latest").into(), last.into());
            }
        }
        let json = |value: &serde_json::Value| serde_json::to_vec(value).expect("plain data");
        let index = serde_json::to_value(Index::new(index)).expect("plain data");
        files.insert("index.json", json(&index));
        files.insert("manifest.json", json(&rows.into()));
        files.insert("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
        if !repositories.is_empty() {
            let value = serde_json::to_value(repositories).expect("plain data");
            files.insert("repositories", json(&value));
        }
        self.write_archive(&blobs, &files, out)
    }

    fn write_archive(
        &self,
        blobs: &BTreeSet<Digest>,
        files: &BTreeMap<&str, Vec<u8>>,
        out: &mut dyn Write,
    ) -> Result<()> {
        let mut tar = Writer::new(out);
        for folder in ["blobs/", "blobs/sha256/"] {
            tar.entry(&entry(folder, Kind::Dir, 0))?;
        }
        for digest in blobs {
            let (size, mut stream) = self.blob_stream(digest)?;
            let path = format!("blobs/{}/{}", digest.algorithm().name(), digest.hex());
            tar.entry(&entry(&path, Kind::File, size))?;
            tar.data(&mut stream, size)?;
        }
        for (name, bytes) in files {
            tar.file(name, bytes, 0)?;
        }
        tar.finish().map(|_| ())
    }

    /// The images to save with the tags to save them under.
    fn wanted(&self, names: &[String]) -> Result<Vec<(Image, Vec<Reference>)>> {
        let mut wanted: Vec<(Image, Vec<Reference>)> = Vec::new();
        for text in names {
            for (image, tags) in self.meant(text)? {
                match wanted.iter_mut().find(|(known, _)| known.id == image.id) {
                    Some((_, known)) => known.extend(tags),
                    None => wanted.push((image, tags)),
                }
            }
        }
        for (_, tags) in &mut wanted {
            tags.sort();
            tags.dedup();
        }
        Ok(wanted)
    }

    fn meant(&self, text: &str) -> Result<Vec<(Image, Vec<Reference>)>> {
        let parsed = Reference::parse(text).ok();
        if let Some(repository) =
            parsed.as_ref().filter(|r| r.tag().is_none() && r.digest().is_none())
        {
            let of_repo = |r: &Reference| r.repository() == *repository;
            let images = self.list().into_iter().filter_map(|image| {
                let tags: Vec<_> = image.tags.iter().filter(|t| of_repo(t)).cloned().collect();
                (!tags.is_empty()).then_some((image, tags))
            });
            let all: Vec<_> = images.collect();
            if !all.is_empty() {
                return Ok(all);
            }
        }
        let image = self.get(&self.resolve(text)?)?;
        let tags = parsed.filter(|p| image.tags.contains(p)).into_iter().collect();
        Ok(vec![(image, tags)])
    }

    /// The parsed manifest of an image.
    pub(crate) fn manifest(&self, image: &Image) -> Result<Manifest> {
        let bytes = self.blob(&image.manifest.digest)?;
        match Document::parse(&image.manifest.media_type, &bytes) {
            Ok(Document::Manifest(manifest)) => Ok(manifest),
            _ => Err(Error::internal(format!("manifest of image {} is damaged", image.id))),
        }
    }
}

fn index_entries(image: &Image, tags: &[Reference]) -> Vec<Descriptor> {
    let plain = Descriptor {
        platform: Some(image.config.platform()),
        ..Descriptor::new(media::OCI_MANIFEST, image.manifest.digest.clone(), image.manifest.size)
    };
    let plain = Descriptor { media_type: image.manifest.media_type.clone(), ..plain };
    let named = |tag: &Reference| {
        let mut entry = plain.clone();
        let mut note = |key: &str, value: String| entry.annotations.insert(key.into(), value);
        note("io.containerd.image.name", tag.to_string());
        note("org.opencontainers.image.ref.name", tag.tag().unwrap_or("latest").into());
        entry
    };
    if tags.is_empty() { vec![plain.clone()] } else { tags.iter().map(named).collect() }
}

fn row(manifest: &Manifest, tags: &[Reference]) -> serde_json::Value {
    let path = |d: &Digest| format!("blobs/{}/{}", d.algorithm().name(), d.hex());
    let tags: Vec<String> = tags.iter().map(Reference::familiar).collect();
    serde_json::json!({
        "Config": path(&manifest.config.digest),
        "RepoTags": if tags.is_empty() { serde_json::Value::Null } else { tags.into() },
        "Layers": manifest.layers.iter().map(|l| path(&l.digest)).collect::<Vec<_>>(),
    })
}

fn entry(path: &str, kind: Kind, size: u64) -> Entry {
    Entry {
        path: path.into(),
        kind,
        mode: if kind == Kind::Dir { 0o755 } else { 0o644 },
        uid: 0,
        gid: 0,
        size,
        mtime: (0, 0),
        link: Vec::new(),
        device: (0, 0),
        xattrs: Vec::new(),
        sparse: None,
    }
}
