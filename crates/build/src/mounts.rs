//! `RUN --mount`: what is mounted where, for the time of the step.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use dockerfile::{MountKind, Origin, RunMount, Running, Sharing};
use engine::config::{BindOptions, HostConfig, Mount};
use oci::Digest;
use tokio::sync::OwnedMutexGuard;

use crate::agent::Forwarded;
use crate::claim::{Access, Folder, Pad, Tree};
use crate::error::{BuildError, Doing, Result};
use crate::execute::{Made, Session};
use crate::{rooted, usage};

/// The folders of cache mounts, by id.
pub struct Caches {
    root: PathBuf,
    locks: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Caches {
    pub fn new(root: PathBuf) -> Self {
        Self { root, locks: Mutex::default() }
    }

    /// Waits for its turn when the mount is `locked`. `private` waits too: a second, empty folder
    /// would be as correct, but slower.
    pub async fn lock(&self, m: &RunMount) -> Option<OwnedMutexGuard<()>> {
        if m.sharing == Sharing::Shared {
            return None;
        }
        let lock = {
            let mut locks = self.locks.lock().expect("no panic happens under this lock");
            locks.entry(m.id.clone()).or_default().clone()
        };
        Some(lock.lock_owned().await)
    }

    fn folder(&self, m: &RunMount) -> Result<PathBuf> {
        let path = self.root.join(Digest::sha256(m.id.as_bytes()).hex());
        let making = || format!("making the cache mount {}", m.id);
        std::fs::create_dir_all(&self.root).doing(making)?;
        // Beside the folder: what it is, and by its time when it was last of use.
        std::fs::write(path.with_extension("id"), &m.id).doing(making)?;
        if !path.exists() {
            std::fs::create_dir_all(&path).doing(making)?;
            let mode = std::fs::Permissions::from_mode(m.mode.unwrap_or(0o755));
            std::fs::set_permissions(&path, mode).doing(making)?;
            rooted::chown(&path, m.uid, m.gid).doing(making)?;
        }
        Ok(path)
    }

    /// Folder name, id, bytes and last use of each.
    pub fn rows(&self) -> Vec<(String, String, u64, SystemTime)> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        let row = |entry: std::fs::DirEntry| {
            let key = entry.file_name().into_string().ok().filter(|k| !k.ends_with(".id"))?;
            let note = self.root.join(format!("{key}.id"));
            let id = std::fs::read_to_string(&note).ok()?;
            let used = std::fs::metadata(&note).and_then(|m| m.modified()).ok()?;
            Some((key, id, usage::size(&entry.path()), used))
        };
        entries.filter_map(row).collect()
    }

    pub fn remove(&self, key: &str) -> Result<()> {
        usage::remove_folder(&self.root.join(key))?;
        let note = self.root.join(format!("{key}.id"));
        std::fs::remove_file(&note).doing(|| format!("removing {}", note.display()))
    }
}

/// The mounts of one step; what is behind them lives as long as this.
#[derive(Default)]
pub struct Mounted {
    trees: Vec<Tree>,
    folders: Vec<Folder>,
    pads: Vec<Pad>,
    agents: Vec<Forwarded>,
    pub env: Vec<String>,
    /// Where something is mounted inside.
    pub targets: Vec<String>,
}

impl Mounted {
    /// Adds all mounts to the container's configuration. Blocks.
    pub fn prepare(
        session: &Session,
        run: &Running,
        inputs: &[Made],
        host: &mut HostConfig,
    ) -> Result<Self> {
        let mut out = Self::default();
        let mut trees = inputs[1..].iter();
        for m in &run.mounts {
            let from = match m.origin {
                Some(Origin::Node(_)) => trees.next(),
                _ => None,
            };
            out.one(session, m, from, host)
                .doing(|| format!("--mount with target {}", m.target))?;
        }
        if let Some((path, content)) = &run.script {
            let file = out.file(session, content.as_bytes(), 0o755, (0, 0))?;
            out.bind(host, &file, path, Access::Read);
        }
        Ok(out)
    }

    fn one(
        &mut self,
        session: &Session,
        m: &RunMount,
        from: Option<&Made>,
        host: &mut HostConfig,
    ) -> Result<()> {
        match m.kind {
            MountKind::Tmpfs => {
                let size = m.size.map(|s| format!(",size={s}")).unwrap_or_default();
                let tmpfs = host.tmpfs.get_or_insert_default();
                tmpfs.insert(m.target.clone(), format!("exec{size}"));
                self.targets.push(m.target.clone());
            }
            MountKind::Cache if from.is_some() || !m.source.is_empty() => {
                return Err(BuildError::new(
                    "a cache mount filled from a tree is not supported yet",
                ));
            }
            MountKind::Cache => {
                let folder = session.builder.caches.folder(m)?;
                self.bind(host, &folder, &m.target, access(m));
            }
            MountKind::Secret => self.secret(session, m, host)?,
            MountKind::Ssh => self.ssh(session, m, host)?,
            MountKind::Bind => {
                let root = self.tree(session, m, from)?;
                let source = rooted::resolve(&root, &m.source)
                    .doing(|| format!("\"{}\" in the mount's source", m.source))?;
                self.bind(host, &source, &m.target, access(m));
            }
        }
        Ok(())
    }

    /// The context as it is, or a tree; writes go nowhere.
    fn tree(&mut self, session: &Session, m: &RunMount, from: Option<&Made>) -> Result<PathBuf> {
        let (images, work) = (&session.builder.engine.images, &session.builder.work);
        let Some(from) = from else {
            let context = session.context_of(m.origin.as_ref().unwrap_or(&Origin::Context))?;
            if !m.writable {
                return Ok(context.root().to_owned());
            }
            let pad = Pad::new(context.root(), work)?;
            let path = pad.path().to_owned();
            self.pads.push(pad);
            return Ok(path);
        };
        let tree = Tree::new(images, &from.layers, access(m), work)?;
        let path = tree.path().to_owned();
        self.trees.push(tree);
        Ok(path)
    }

    fn secret(&mut self, session: &Session, m: &RunMount, host: &mut HostConfig) -> Result<()> {
        let Some(value) = session.request.secrets.get(&m.id) else {
            if m.required {
                return Err(BuildError::new(format!("secret {}: not found", m.id)));
            }
            return Ok(());
        };
        if let Some(name) = &m.env {
            let text = String::from_utf8(value.clone())
                .map_err(|_| BuildError::new(format!("secret {} is not text", m.id)))?;
            self.env.push(format!("{name}={text}"));
            return Ok(());
        }
        let file = self.file(session, value, m.mode.unwrap_or(0o400), (m.uid, m.gid))?;
        self.bind(host, &file, &m.target, Access::Read);
        Ok(())
    }

    /// An agent that nobody passed on is left out unless required, as BuildKit does.
    fn ssh(&mut self, session: &Session, m: &RunMount, host: &mut HostConfig) -> Result<()> {
        let Some(agent) = session.request.ssh.get(&m.id) else {
            if m.required {
                return Err(BuildError::new(format!(
                    "no SSH key \"{}\" forwarded from the client",
                    m.id
                )));
            }
            return Ok(());
        };
        let (work, owner) = (&session.builder.work, (m.uid, m.gid));
        let forwarded = Forwarded::open(agent, work, m.mode.unwrap_or(0o600), owner)?;
        self.bind(host, &forwarded.socket(), &m.target, Access::Write);
        if !self.env.iter().any(|e| e.starts_with("SSH_AUTH_SOCK=")) {
            self.env.push(format!("SSH_AUTH_SOCK={}", m.target));
        }
        self.agents.push(forwarded);
        Ok(())
    }

    fn file(
        &mut self,
        session: &Session,
        bytes: &[u8],
        mode: u32,
        owner: (u32, u32),
    ) -> Result<PathBuf> {
        let folder = Folder::new(&session.builder.work)?;
        let path = folder.0.join("file");
        let writing = || "writing a file to mount".to_owned();
        std::fs::write(&path, bytes).doing(writing)?;
        rooted::chown(&path, owner.0, owner.1).doing(writing)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).doing(writing)?;
        self.folders.push(folder);
        Ok(path)
    }

    pub fn bind(&mut self, host: &mut HostConfig, source: &Path, target: &str, access: Access) {
        host.mounts.get_or_insert_default().push(Mount {
            kind: "bind".to_owned(),
            source: source.to_string_lossy().into_owned(),
            target: target.to_owned(),
            read_only: access == Access::Read,
            bind_options: Some(BindOptions::default()),
            ..Mount::default()
        });
        self.targets.push(target.to_owned());
    }
}

fn access(m: &RunMount) -> Access {
    if m.writable { Access::Write } else { Access::Read }
}
