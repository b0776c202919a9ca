//! COPY and ADD.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use dockerfile::ignore::{Ignore, clean};
use dockerfile::{Copying, Origin, Source};
use image::{Layer, Owners, UnpackOptions, Whiteouts};

use crate::claim::{Access, Folder, Tree};
use crate::context::{Packing, is_archive};
use crate::copy::{Dress, copy};
use crate::error::{BuildError, Doing, Result};
use crate::execute::{Made, Session};
use crate::fetch::Fetched;
use crate::select::{Forest, Picked};
use crate::{content, owner, rooted};

/// What decides the result: text, files, and what lies below unless `--link`.
pub fn recipe(
    session: &Session,
    c: &Copying,
    inputs: &[Made],
    fetched: &[Option<Fetched>],
) -> Result<String> {
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
            let forest = context_forest(session, &c.origin, &excludes)?;
            for (n, source) in c.sources.iter().enumerate() {
                out += &match source {
                    Source::Path(path) => {
                        let picked = forest.pick(path)?;
                        format!("\0{}", content::digest(&forest, &picked)?)
                    }
                    Source::Inline { .. } => format!("\0{source:?}"),
                    Source::Url(_) | Source::Git(_) => identity(fetched.get(n), c),
                };
            }
        }
    }
    Ok(out)
}

/// What a file from elsewhere adds to the key: its content, not its address.
fn identity(fetched: Option<&Option<Fetched>>, c: &Copying) -> String {
    let one = fetched.and_then(Option::as_ref);
    let text = one.map(|f| format!("{}\0{}", f.identity, f.name)).unwrap_or_default();
    format!("\0{text}\0{}", c.unpack_remote)
}

/// A `--link` layer needs nothing of what lies below, unless a name must be looked up there.
fn stands_alone(c: &Copying) -> bool {
    c.link && c.owner.as_deref().is_none_or(owner::is_numeric)
}

fn excludes(c: &Copying) -> Ignore {
    Ignore::of(c.excludes.iter().map(String::as_str))
}

fn context_forest<'a>(
    session: &'a Session,
    origin: &Origin,
    excludes: &'a Ignore,
) -> Result<Forest<'a>> {
    let context = session.context_of(origin)?;
    let ignores = vec![&context.ignore];
    Ok(Forest { root: context.root(), ignores, excludes: Some(excludes) })
}

pub fn execute(
    session: &Session,
    c: &Copying,
    inputs: &[Made],
    fetched: &[Option<Fetched>],
) -> Result<Option<Layer>> {
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
        None => context_forest(session, &c.origin, &excludes)?,
        Some(origin) => {
            Forest { root: origin.path(), ignores: Vec::new(), excludes: Some(&excludes) }
        }
    };
    let mut put = Put { root: tree.path(), dest: &c.dest, dress, copying: c };
    for (n, source) in c.sources.iter().enumerate() {
        match source {
            Source::Path(path) => put.picked(&forest, path)?,
            Source::Inline { name, content } => {
                put.inline(&Folder::new(&builder.work)?, name, content)?;
            }
            Source::Url(_) | Source::Git(_) => {
                put.remote(fetched.get(n).and_then(Option::as_ref))?;
            }
        }
    }
    drop(origin);
    tree.commit(session.epoch)
}

/// A folder of which everything is meant.
fn plain(root: &Path) -> Forest<'_> {
    Forest { root, ignores: Vec::new(), excludes: None }
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
                source.split_once("/./").map_or(0, |(before, _)| match clean(before).as_str() {
                    "." => 0,
                    before => before.len(),
                });
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

    /// A download keeps its mode 0600 and is an archive only with `--unpack`; of a repository the
    /// content is meant.
    fn remote(&mut self, fetched: Option<&Fetched>) -> Result<()> {
        let fetched = fetched.ok_or_else(|| BuildError::new("the source was not fetched"))?;
        if fetched.path.is_dir() {
            let forest = plain(&fetched.path);
            return self.picked(&forest, ".");
        }
        if self.copying.unpack_remote
            && let Some(packing) = is_archive(&fetched.path)
        {
            return self.unpack(&fetched.path, packing);
        }
        let parent = fetched.path.parent().unwrap_or(Path::new("/"));
        let forest = plain(parent);
        let target = self.file_target(&fetched.name)?;
        let picked = Picked { path: fetched.path.clone(), name: fetched.name.clone() };
        // It came from no owner here.
        let owner = Some(self.dress.owner.unwrap_or((0, 0)));
        copy(&forest, &picked, &target, Dress { owner, ..self.dress })
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
        let unpacking = || "unpacking an archive".to_owned();
        // An archive's own `./` says nothing about the folder it is unpacked to.
        let before = std::fs::metadata(&target).doing(unpacking)?;
        image::unpack(&mut *tar, &target, &options).doing(unpacking)?;
        rooted::chown(&target, before.uid(), before.gid()).doing(unpacking)?;
        std::fs::set_permissions(&target, before.permissions()).doing(unpacking)?;
        Ok(())
    }

    /// A here-document becomes a file of mode 0644.
    fn inline(&self, folder: &Folder, name: &str, content: &str) -> Result<()> {
        let path = folder.0.join("inline");
        std::fs::write(&path, content).doing(|| "writing a here-document".to_owned())?;
        let mode = Some(self.dress.mode.unwrap_or(0o644));
        let forest = plain(&folder.0);
        let target = self.file_target(name)?;
        let picked = Picked { path, name: "inline".to_owned() };
        copy(&forest, &picked, &target, Dress { mode, ..self.dress })
    }
}
