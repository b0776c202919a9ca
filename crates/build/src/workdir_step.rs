//! WORKDIR: a folder that may already be there.

use image::Layer;

use crate::claim::{Access, Tree};
use crate::error::{Doing, Result};
use crate::execute::{Made, Session};
use crate::rooted;

pub fn execute(session: &Session, path: &str, under: &Made) -> Result<Option<Layer>> {
    let builder = &session.builder;
    let images = &builder.engine.images;
    let tree = Tree::new(images, &under.layers, Access::Write, &builder.work)?;
    if rooted::resolve(tree.path(), path).is_ok_and(|p| p.is_dir()) {
        return Ok(None);
    }
    rooted::make_folders(tree.path(), path).doing(|| format!("making {path}"))?;
    tree.commit(session.epoch)
}
