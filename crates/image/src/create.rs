//! New images out of layers: commit, build and import end here.

use crate::db::{Record, now};
use crate::error::Doing as _;
use crate::layers::{LayerMeta, key_of, unpack_hashed};
use crate::pack::{PackStyle, pack};
use crate::unpack::{Outcome, Whiteouts};
use crate::{Error, ImageId, ImageStore, Layer, NewImage, Result};
use oci::{
    Algorithm, Descriptor, Digest, Hasher, History, ImageConfig, Manifest, Reference, media,
};
use std::io::{BufWriter, Read, Write};
use std::path::Path;

impl ImageStore {
    /// Registers an image made of existing layers.
    pub fn create_image(&self, new: NewImage) -> Result<ImageId> {
        let _busy = self.0.gate.enter();
        let mut config = new.config;
        config.rootfs.diff_ids = new.layers.iter().map(|l| l.diff_id.clone()).collect();
        let host = oci::Platform::host();
        fill(&mut config.os, &host.os);
        fill(&mut config.architecture, &host.architecture);
        fill(&mut config.created, &now());
        let bytes = serde_json::to_vec(&config).expect("plain data");
        let layers = new.layers.iter().map(|l| self.descriptor(l)).collect::<Result<Vec<_>>>()?;
        let id = self.0.blobs.put(&bytes)?;
        let manifest = Manifest::image(Descriptor::of(media::OCI_CONFIG, &bytes), layers);
        let manifest_bytes = serde_json::to_vec(&manifest).expect("plain data");
        self.0.blobs.put(&manifest_bytes)?;
        let record = Record {
            manifest: Descriptor::of(media::OCI_MANIFEST, &manifest_bytes),
            layers: new.layers,
            parent: new.parent,
            last_tagged: String::new(),
        };
        self.register(&id, record, &new.names, None)?;
        Ok(id)
    }

    /// Writes an image and its names into the database. An image that is there keeps its first
    /// manifest (same config, so same content).
    pub(crate) fn register(
        &self,
        id: &ImageId,
        record: Record,
        names: &[Reference],
        target: Option<&Digest>,
    ) -> Result<()> {
        self.0.db.change(|state| {
            let target = target.cloned().unwrap_or_else(|| record.manifest.digest.clone());
            let there = state.images.entry(id.clone()).or_insert_with(|| record.clone());
            if there.parent.is_none() {
                there.parent = record.parent.filter(|p| p != id);
            }
            for name in names {
                state.set_name(name, id, &target);
            }
            Ok(())
        })
    }

    /// How a manifest refers to a layer: by its compressed blob, else by its own tar.
    pub(crate) fn descriptor(&self, layer: &Layer) -> Result<Descriptor> {
        let meta =
            self.0.layers.get(&layer.key).ok_or_else(|| {
                Error::not_found(format!("layer {} does not exist", layer.diff_id))
            })?;
        if let Some(mut packed) = meta.packed {
            let compression = oci::Compression::of_media_type(&packed.media_type);
            packed.media_type =
                compression.map_or(packed.media_type, |c| c.oci_media_type().to_owned());
            return Ok(packed);
        }
        Ok(Descriptor::new(media::OCI_LAYER, layer.diff_id.clone(), layer.tar_size))
    }

    /// Unpacks a tar (plain, gzip, zstd, xz) as one new layer that stands on nothing.
    pub fn add_layer(&self, tar: &mut (dyn Read + Send)) -> Result<Layer> {
        let _busy = self.0.gate.enter();
        let scratch = self.0.layers.scratch()?;
        let (outcome, _) = unpack_hashed(tar, &scratch.0, Whiteouts::Literal)?;
        if outcome == Outcome::NeedsLower {
            return Err(Error::invalid("the archive refers to files that it does not contain"));
        }
        // The archive is not kept: the layer's tar is printed from the folder when needed, so the
        // digest is that of the printed one.
        let (diff_id, tar_size, packed) = printed_digest(&scratch.0)?;
        let layer = Layer { key: key_of(&diff_id, None), diff_id, size: packed.bytes, tar_size };
        let meta =
            LayerMeta { layer, chain: None, inodes: packed.inodes, printable: true, packed: None };
        self.0.layers.adopt(&scratch.0, meta)
    }

    /// `docker import`: a tar becomes a single-layer image. `config` carries `--change`s, author
    /// and comment already applied; without a history it gets one row.
    pub fn import(
        &self,
        tar: &mut (dyn Read + Send),
        mut config: ImageConfig,
        name: Option<&Reference>,
    ) -> Result<ImageId> {
        let _busy = self.0.gate.enter();
        let layer = self.add_layer(tar)?;
        fill(&mut config.created, &now());
        if config.history.is_empty() {
            config.history.push(History {
                created: config.created.clone(),
                comment: config.comment.clone(),
                author: config.author.clone(),
                ..History::default()
            });
        }
        let names = name.into_iter().cloned().collect();
        self.create_image(NewImage { config, layers: vec![layer], parent: None, names })
    }

    /// The uncompressed tar of a layer.
    pub fn layer_tar(&self, layer: &Layer) -> Result<Box<dyn Read + Send>> {
        let meta =
            self.0.layers.get(&layer.key).ok_or_else(|| {
                Error::not_found(format!("layer {} does not exist", layer.diff_id))
            })?;
        if meta.printable {
            return print(&self.0.layers.path(&layer.key));
        }
        let packed = meta.packed.ok_or_else(|| Error::internal("layer has no archive"))?;
        crate::codec::decoder(self.0.blobs.file(&packed.digest)?)
    }

    /// Any blob, also the tars of layers that are kept only unpacked. Answers size and stream.
    pub fn blob_stream(&self, digest: &Digest) -> Result<(u64, Box<dyn Read + Send>)> {
        match self.0.blobs.file(digest) {
            Ok(file) => {
                let size = file.metadata().doing("reading a blob")?.len();
                Ok((size, Box::new(file)))
            }
            Err(missing) => match self.0.layers.printable(digest) {
                Some(meta) => {
                    Ok((meta.layer.tar_size, print(&self.0.layers.path(&meta.layer.key))?))
                }
                None => Err(missing),
            },
        }
    }

    /// The file of a blob, for reading parts of it; `None` for layers that are printed anew.
    pub fn blob_file(&self, digest: &Digest) -> Option<std::fs::File> {
        self.0.blobs.file(digest).ok()
    }

    /// The length of any blob; `None` when it is not here.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        let printed = || self.0.layers.printable(digest).map(|m| m.layer.tar_size);
        self.0.blobs.size(digest).or_else(printed)
    }
}

fn fill(field: &mut String, value: &str) {
    if field.is_empty() {
        value.clone_into(field);
    }
}

/// Prints a layer on a thread of its own; the reader gets an error if printing failed.
fn print(folder: &Path) -> Result<Box<dyn Read + Send>> {
    let (reader, writer) = std::io::pipe().doing("cannot make a pipe")?;
    let folder = folder.to_path_buf();
    let printer = std::thread::spawn(move || {
        pack(&folder, PackStyle::Layer, BufWriter::with_capacity(256 << 10, writer)).map(|_| ())
    });
    Ok(Box::new(Printed { reader, printer: Some(printer) }))
}

struct Printed {
    reader: std::io::PipeReader,
    printer: Option<std::thread::JoinHandle<Result<()>>>,
}

impl Read for Printed {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let got = self.reader.read(buf)?;
        if got == 0
            && !buf.is_empty()
            && let Some(printer) = self.printer.take()
        {
            printer.join().map_err(|_| Error::internal("archiving panicked"))??;
        }
        Ok(got)
    }
}

/// Digest and length of the tar that a folder prints.
pub(crate) fn printed_digest(folder: &Path) -> Result<(Digest, u64, crate::pack::Packed)> {
    struct Sums(Hasher, u64);
    impl Write for Sums {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            self.1 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut sums = Sums(Hasher::new(Algorithm::Sha256), 0);
    let packed = pack(folder, PackStyle::Layer, BufWriter::with_capacity(256 << 10, &mut sums))?;
    Ok((sums.0.finish(), sums.1, packed))
}
