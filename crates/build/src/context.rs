//! The build context: a folder, made of the tar a client sends.

use std::io::Read;
use std::path::{Path, PathBuf};

use dockerfile::ignore::Ignore;
use image::{UnpackOptions, Whiteouts};

use crate::claim::Folder;
use crate::error::{BuildError, Doing, Result};
use crate::fetch::Fetched;
use crate::rooted;

/// The files that COPY and ADD see.
pub struct Context {
    root: PathBuf,
    pub ignore: Ignore,
    /// Keeps an unpacked context until the build ends.
    _folder: Option<Folder>,
}

/// The folder of a posted tar that is not part of the context.
const RESERVED: &str = ".boxship";
/// More than any Dockerfile has.
const DOCKERFILE_MAX: u64 = 4 << 20;

impl Context {
    /// A folder as it lies there.
    pub fn folder(root: &Path) -> Self {
        Self { root: root.to_owned(), ignore: Ignore::default(), _folder: None }
    }

    /// A repository that was cloned.
    pub fn fetched(fetched: Fetched) -> Self {
        Self { root: fetched.path, ignore: Ignore::default(), _folder: fetched.folder }
    }

    /// Moves the request's own files (`.boxship/`) out of the context.
    pub fn take_reserved(&mut self) -> Result<Option<PathBuf>> {
        let inside = self.root.join(RESERVED);
        if !std::fs::symlink_metadata(&inside).is_ok_and(|m| m.is_dir()) {
            return Ok(None);
        }
        let outside = self.root.with_file_name("reserved");
        std::fs::rename(&inside, &outside).doing(|| "taking the request's files".to_owned())?;
        Ok(Some(outside))
    }

    /// A folder with its own `.dockerignore`.
    pub fn named(root: &Path) -> Result<Self> {
        let mut context = Self::folder(root);
        let rules = context.text(".dockerignore")?;
        context.ignore = rules.map(|r| Ignore::parse(&r)).unwrap_or_default();
        Ok(context)
    }

    /// Unpacks a tar, plain or compressed; something else is taken for a bare Dockerfile, as
    /// moby's `remotecontext.Detect` does.
    pub fn unpack(tar: Box<dyn Read + Send>, work: &Path, dockerfile: &str) -> Result<Self> {
        let folder = Folder::new(work)?;
        let root = folder.0.join("context");
        std::fs::create_dir(&root).doing(|| format!("making {}", root.display()))?;
        let (head, rest) = peek(tar, 512)?;
        let whole: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(head.clone()).chain(rest));
        match packing(&head) {
            None => bare(whole, &root.join(dockerfile))?,
            Some(packing) => {
                // docker's CLI sends no final blocks when it adds a Dockerfile (`-f -`): Go's reader
                // does not miss them, so they are supplied here.
                let mut tar = packing.open(whole)?.chain(std::io::repeat(0).take(1024 + 511));
                image::unpack(&mut tar, &root, &UnpackOptions::new(Whiteouts::Literal))
                    .doing(|| "unpacking the build context".to_owned())?;
            }
        }
        Ok(Self { root, ignore: Ignore::default(), _folder: Some(folder) })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The Dockerfile's text; reads `.dockerignore` on the way, the Dockerfile's own first.
    pub fn dockerfile(&mut self, name: &str) -> Result<String> {
        let text = self.text(name)?.ok_or_else(|| {
            BuildError::new(format!("Cannot locate specified Dockerfile: {name}"))
        })?;
        let own = self.text(&format!("{name}.dockerignore"))?;
        let rules = match own {
            Some(rules) => Some(rules),
            None => self.text(".dockerignore")?,
        };
        self.ignore = rules.map(|r| Ignore::parse(&r)).unwrap_or_default();
        Ok(text)
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        let Ok(path) = rooted::resolve(&self.root, name) else { return Ok(None) };
        let reading = || format!("reading {name} of the build context");
        let meta = std::fs::metadata(&path).doing(reading)?;
        if !meta.is_file() || meta.len() > DOCKERFILE_MAX {
            return Err(BuildError::new(format!("{name} is no file, or too large")));
        }
        let bytes = std::fs::read(&path).doing(reading)?;
        let text = String::from_utf8(bytes).doing(|| format!("{name} is not UTF-8"))?;
        Ok(Some(text))
    }
}

fn bare(mut from: Box<dyn Read + Send>, to: &Path) -> Result<()> {
    let mut text = String::new();
    from.by_ref()
        .take(DOCKERFILE_MAX)
        .read_to_string(&mut text)
        .doing(|| "the build context is neither a tar nor a Dockerfile".to_owned())?;
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).doing(|| format!("making {}", parent.display()))?;
    }
    std::fs::write(to, text).doing(|| format!("writing {}", to.display()))
}

type Stream = Box<dyn Read + Send>;

/// The first bytes, and the stream after them.
fn peek(mut from: Stream, count: u64) -> Result<(Vec<u8>, Stream)> {
    let mut head = Vec::new();
    from.by_ref()
        .take(count)
        .read_to_end(&mut head)
        .doing(|| "reading the build context".to_owned())?;
    Ok((head, from))
}

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

/// `None`: no archive that is known here.
pub fn packing(head: &[u8]) -> Option<Packing> {
    match head {
        [0x1f, 0x8b, ..] => Some(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Packing::Xz),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Packing::Bzip2),
        head if head.len() >= 262 && &head[257..262] == b"ustar" => Some(Packing::Plain),
        // An empty archive is nothing but zeros.
        head if head.len() == 512 && head.iter().all(|b| *b == 0) => Some(Packing::Plain),
        _ => None,
    }
}

impl Packing {
    pub fn open(self, from: Stream) -> Result<Stream> {
        Ok(match self {
            Self::Plain => from,
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(from)),
            Self::Zstd => Box::new(
                zstd::stream::read::Decoder::new(from).doing(|| "opening a zstd stream".into())?,
            ),
            Self::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(from)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new(from, true)),
        })
    }
}

/// Whether a file is an archive that ADD unpacks.
pub fn is_archive(path: &Path) -> Option<Packing> {
    let file = std::fs::File::open(path).ok()?;
    let (head, _) = peek(Box::new(file), 512).ok()?;
    let packing = packing(&head)?;
    if packing == Packing::Plain {
        return Some(packing);
    }
    let inner = packing.open(Box::new(std::fs::File::open(path).ok()?)).ok()?;
    let (head, _) = peek(inner, 512).ok()?;
    (self::packing(&head) == Some(Packing::Plain)).then_some(packing)
}
