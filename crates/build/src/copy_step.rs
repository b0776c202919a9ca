//! COPY and ADD.

use std::path::{Path, PathBuf};

use dockerfile::ignore::Ignore;
use dockerfile::{Copying, Origin, Source};
use image::{Layer, Owners, UnpackOptions, Whiteouts};

use crate::claim::{Access, Folder, Tree};
use crate::context::{Packing, is_archive};
use crate::copy::{Dress, copy};
use crate::error::{BuildError, Doing, Result};
use crate::execute::{Made, Session};
use crate::select::{Forest, Picked};
use crate::{content, owner, rooted};

/// What decides the result: text, files, and what lies below unless `--link`.
pub fn recipe(session: &Session, c: &Copying, inputs: &[Made]) -> Result<String> {
    let mut out = format!(
        "COPY\0{}\0{:?}\0{:?}\0{}\0{}\0{:?}\0",
        c.dest, c.owner, c.mode, c.parents, c.unpack, c.excludes
    );
    if !stands_alone(c) {
        out += &inputs[0].key;
    }
    match &c.origin {
        Origin::Node(_) => out += &format!("\0{:?}\0{}", c.sources, inputs[1].key),
        Origin::Context | Origin::Named(_) => {
            let excludes = excludes(c);
            let forest = context_forest(session, &excludes);
            for source in &c.sources {
                out += &match source {
                    Source::Path(path) => {
                        let picked = forest.pick(path)?;
                        format!("\0{}", content::digest(&forest, &picked)?)
                    }
                    other => format!("\0{other:?}"),
                };
            }
        }
    }
    Ok(out)
}

/// A `--link` layer needs nothing of what lies below, unless a name must be looked up there.
fn stands_alone(c: &Copying) -> bool {
    c.link && c.owner.as_deref().is_none_or(owner::is_numeric)
}

fn excludes(c: &Copying) -> Ignore {
    Ignore::of(c.excludes.iter().map(String::as_str))
}

fn context_forest<'a>(session: &'a Session, excludes: &'a Ignore) -> Forest<'a> {
    Forest { root: session.context.root(), ignores: vec![&session.context.ignore, excludes] }
}

pub fn execute(session: &Session, c: &Copying, inputs: &[Made]) -> Result<Option<Layer>> {
    let builder = &session.builder;
    let images = &builder.engine.images;
    let under: &[Layer] = if stands_alone(c) { &[] } else { &inputs[0].layers };
    let tree = Tree::new(images, under, Access::Write, &builder.work)?;
    let owner = c.owner.as_deref().map(|o| owner::find(o, tree.path())).transpose()?;
    let dress = Dress { owner, mode: c.mode };
    let excludes = excludes(c);
    let origin = match &c.origin {
        Origin::Context | Origin::Named(_) => None,
        Origin::Node(_) => Some(Tree::new(images, &inputs[1].layers, Access::Read, &builder.work)?),
    };
    let forest = match &origin {
        None => context_forest(session, &excludes),
        Some(origin) => Forest { root: origin.path(), ignores: vec![&excludes] },
    };
    let mut put = Put { root: tree.path(), dest: &c.dest, dress, copying: c };
    for source in &c.sources {
        match source {
            Source::Path(path) => put.picked(&forest, path)?,
            Source::Inline { name, content } => {
                put.inline(&Folder::new(&builder.work)?, name, content)?;
            }
            Source::Url(url) => {
                return Err(BuildError::new(format!(
                    "ADD {url}: adding from a URL is not supported yet; fetch it in a RUN step"
                )));
            }
            Source::Git(url) => {
                return Err(BuildError::new(format!(
                    "ADD {url}: adding from git is not supported yet; clone it in a RUN step"
                )));
            }
        }
    }
    drop(origin);
    tree.commit()
}

/// Where things go.
struct Put<'a> {
    root: &'a Path,
    dest: &'a str,
    dress: Dress,
    copying: &'a Copying,
}

impl Put<'_> {
    fn picked(&mut self, forest: &Forest<'_>, source: &str) -> Result<()> {
        let all = forest.pick(source)?;
        let several = all.len() > 1;
        if several && !self.dest.ends_with('/') {
            return Err(BuildError::new(
                "When using COPY with more than one source file, the destination must be a \
                 directory and end with a /",
            ));
        }
        for one in &all {
            self.one(forest, one, source)?;
        }
        Ok(())
    }

    fn one(&self, forest: &Forest<'_>, one: &Picked, source: &str) -> Result<()> {
        if self.copying.unpack
            && one.path.is_file()
            && let Some(packing) = is_archive(&one.path)
        {
            return self.unpack(&one.path, packing);
        }
        let target = if self.copying.parents {
            // Only what stands behind a `/./` of the source counts.
            let skip =
                source.split_once("/./").map_or(0, |(before, _)| before.trim_matches('/').len());
            let kept = one.name.get(skip..).unwrap_or_default().trim_start_matches('/');
            let (folder, name) = kept.rsplit_once('/').unwrap_or(("", kept));
            self.folder(&format!("{}/{folder}", self.dest))?.join(name)
        } else if one.path.is_dir() {
            self.folder(self.dest)?
        } else {
            self.file_target(one.name.rsplit('/').next().unwrap_or_default())?
        };
        copy(forest, one, &target, self.dress)
    }

    /// A file's place: below a folder, or the destination itself.
    fn file_target(&self, name: &str) -> Result<PathBuf> {
        let is_folder = rooted::resolve(self.root, self.dest).is_ok_and(|p| p.is_dir());
        if self.dest.ends_with('/') || is_folder {
            return Ok(self.folder(self.dest)?.join(name));
        }
        let (parent, name) = self.dest.rsplit_once('/').unwrap_or(("", self.dest));
        Ok(self.folder(parent)?.join(name))
    }

    fn folder(&self, path: &str) -> Result<PathBuf> {
        let made = rooted::make_folders_owned(self.root, path, self.dress.owner);
        let real = made.doing(|| format!("making the folder {path}"))?;
        if real.is_dir() {
            Ok(real)
        } else {
            Err(BuildError::new(format!("cannot copy to non-directory: {path}")))
        }
    }

    fn unpack(&self, archive: &Path, packing: Packing) -> Result<()> {
        let target = self.folder(self.dest)?;
        let opening = || format!("opening {}", archive.display());
        let file = std::fs::File::open(archive).doing(opening)?;
        let mut tar = packing.open(Box::new(file))?;
        let mut options = UnpackOptions::new(Whiteouts::Literal);
        if let Some((uid, gid)) = self.dress.owner {
            options.owners = Owners::Fixed(uid, gid);
        }
        image::unpack(&mut *tar, &target, &options).doing(|| "unpacking an archive".to_owned())?;
        Ok(())
    }

    /// A here-document becomes a file of mode 0644.
    fn inline(&self, folder: &Folder, name: &str, content: &str) -> Result<()> {
        let path = folder.0.join("inline");
        std::fs::write(&path, content).doing(|| "writing a here-document".to_owned())?;
        let mode = Some(self.dress.mode.unwrap_or(0o644));
        let forest = Forest { root: &folder.0, ignores: Vec::new() };
        let target = self.file_target(name)?;
        let picked = Picked { path, name: "inline".to_owned() };
        copy(&forest, &picked, &target, Dress { mode, ..self.dress })
    }
}
