//! The containers' records: the index in memory and one file each on disk.
//!
//! One writer per container: whoever holds its `turn`. Readers take the newest record without
//! waiting; `changes` wakes those who wait for a state.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, RwLock};

use tokio::sync::{Mutex, watch};

use crate::attach::Waiting;
use crate::error::{Doing, EngineError, Result};
use crate::record::Record;

/// One container. `None` in the channel: it has been removed.
pub struct Container {
    pub id: String,
    dir: PathBuf,
    /// Held by whoever changes the container.
    pub(crate) turn: Mutex<()>,
    /// Clients that want the streams of the next run.
    pub(crate) attaching: std::sync::Mutex<Vec<Waiting>>,
    /// Its end is part of something larger: `--rm` must not act on it.
    pub(crate) hold_removal: AtomicBool,
    newest: watch::Sender<Seen>,
}

/// The newest record, and counters that let waiters tell runs apart.
#[derive(Debug, Clone)]
pub struct Seen {
    pub record: Arc<Record>,
    /// How many times it has ended since the engine opened.
    pub exits: u64,
    pub removed: bool,
}

impl Container {
    fn new(dir: PathBuf, record: Record) -> Self {
        let id = record.id.clone();
        let seen = Seen { record: Arc::new(record), exits: 0, removed: false };
        Self {
            id,
            dir,
            turn: Mutex::default(),
            attaching: std::sync::Mutex::default(),
            hold_removal: AtomicBool::default(),
            newest: watch::Sender::new(seen),
        }
    }

    pub fn record(&self) -> Arc<Record> {
        self.newest.borrow().record.clone()
    }

    pub fn changes(&self) -> watch::Receiver<Seen> {
        self.newest.subscribe()
    }

    /// The container's own directory under the data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Changes the record: first on disk, then for everybody to see.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Record)) -> Result<Arc<Record>> {
        self.write(change, 0)
    }

    /// Like `update`, and counts as one more end.
    pub(crate) fn bury(&self, change: impl FnOnce(&mut Record)) -> Result<Arc<Record>> {
        self.write(change, 1)
    }

    fn write(&self, change: impl FnOnce(&mut Record), exits: u64) -> Result<Arc<Record>> {
        let mut record = (*self.record()).clone();
        change(&mut record);
        save(&self.dir, &record)?;
        let record = Arc::new(record);
        self.newest.send_modify(|seen| {
            seen.record = record.clone();
            seen.exits += exits;
        });
        Ok(record)
    }

    fn vanish(&self) {
        self.newest.send_modify(|seen| seen.removed = true);
    }
}

const FILE: &str = "container.json";

/// What the container was when it was made: on disk before its creation is answered, and read
/// where a power cut has torn the record.
const FIRST: &str = "created.json";

/// Replaces the record's file. A process that dies meanwhile leaves the old one or the new one;
/// it is not synced: after a power cut the container is not running anyway.
fn save(dir: &Path, record: &Record) -> Result<()> {
    let bytes = serde_json::to_vec(record).doing(|| format!("encoding {}", record.id))?;
    replace(&dir.join(FILE), &bytes)
}

/// Writes a file by replacement, so that readers and crashes see the old or the new content.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let tmp = path.with_extension("tmp");
    std::fs::write(&tmp, bytes).doing(|| format!("writing {}", tmp.display()))?;
    std::fs::rename(&tmp, path).doing(|| format!("replacing {}", path.display()))
}

/// Waits until a file and its name are on disk.
pub(crate) fn sync(path: &Path) -> Result<()> {
    let on_disk = |path: &Path| std::fs::File::open(path).and_then(|file| file.sync_data());
    let parent = path.parent().unwrap_or(path);
    on_disk(path).and_then(|()| on_disk(parent)).doing(|| format!("syncing {}", path.display()))
}

#[derive(Default)]
struct Index {
    by_id: BTreeMap<String, Arc<Container>>,
    /// Also holds names of containers being created.
    by_name: BTreeMap<String, String>,
}

/// All containers of this engine.
pub struct Containers {
    root: PathBuf,
    index: RwLock<Index>,
}

impl Containers {
    /// Reads every record. Directories without a readable record are half-made: removed, and
    /// their ids returned so that what else belongs to them can be cleaned.
    pub fn open(root: PathBuf) -> Result<(Self, Vec<String>)> {
        std::fs::create_dir_all(&root).doing(|| format!("creating {}", root.display()))?;
        let mut index = Index::default();
        let mut halves = Vec::new();
        for entry in std::fs::read_dir(&root).doing(|| format!("reading {}", root.display()))? {
            let dir = entry?.path();
            let id = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match load(&dir) {
                Some(record) if record.id == id => {
                    index.by_name.insert(record.name.clone(), id.clone());
                    index.by_id.insert(id, Arc::new(Container::new(dir, record)));
                }
                _ => halves.push(id),
            }
        }
        Ok((Self { root, index: RwLock::new(index) }, halves))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().expect("no panic happens under this lock")
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Index> {
        self.index.write().expect("no panic happens under this lock")
    }

    pub fn dir_of(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// Oldest id order is meaningless, so: newest first by creation time, as lists show them.
    pub fn all(&self) -> Vec<Arc<Container>> {
        let mut all: Vec<_> = self.read().by_id.values().cloned().collect();
        all.sort_by_key(|c| std::cmp::Reverse(c.record().created));
        all
    }

    /// By full id, name (with or without its slash), or unique prefix of the id.
    pub fn find(&self, wanted: &str) -> Result<Arc<Container>> {
        let index = self.read();
        let name = wanted.strip_prefix('/').unwrap_or(wanted);
        if let Some(found) = index.by_id.get(wanted) {
            return Ok(found.clone());
        }
        if let Some(found) = index.by_name.get(name).and_then(|id| index.by_id.get(id)) {
            return Ok(found.clone());
        }
        let range = index.by_id.range(wanted.to_owned()..);
        let mut hits = range.take_while(|(id, _)| id.starts_with(wanted));
        match (hits.next(), hits.next()) {
            _ if wanted.is_empty() => Err(no_such(wanted)),
            (Some((_, found)), None) => Ok(found.clone()),
            (Some(_), Some(_)) => Err(EngineError::invalid(format!(
                "multiple IDs found with provided prefix: {wanted}"
            ))),
            _ => Err(no_such(wanted)),
        }
    }

    /// Takes a name for `id`; the same name twice is a conflict.
    pub(crate) fn reserve(&self, name: &str, id: &str) -> Result<()> {
        let mut index = self.write();
        if let Some(owner) = index.by_name.get(name) {
            return Err(EngineError::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \
                 \"{owner}\". You have to remove (or rename) that container to be able to reuse \
                 that name."
            )));
        }
        index.by_name.insert(name.to_owned(), id.to_owned());
        Ok(())
    }

    pub(crate) fn unreserve(&self, name: &str, id: &str) {
        let mut index = self.write();
        if index.by_name.get(name).is_some_and(|owner| owner == id) {
            index.by_name.remove(name);
        }
    }

    /// A new container whose directory exists and whose name is reserved.
    pub(crate) fn insert(&self, record: Record) -> Result<Arc<Container>> {
        let dir = self.dir_of(&record.id);
        // Whoever made a pod makes it anew after a power cut; nobody else does that.
        if !record.host.auto_remove && record.pod.is_none() {
            let bytes = serde_json::to_vec(&record).doing(|| format!("encoding {}", record.id))?;
            replace(&dir.join(FIRST), &bytes)?;
            sync(&dir.join(FIRST))?;
            sync(&dir)?;
        }
        save(&dir, &record)?;
        let container = Arc::new(Container::new(dir, record));
        self.write().by_id.insert(container.id.clone(), container.clone());
        Ok(container)
    }

    /// Forgets a container whose resources are gone, directory last.
    pub(crate) fn forget(&self, container: &Container) -> Result<()> {
        let name = container.record().name.clone();
        let gone = std::fs::remove_dir_all(&container.dir);
        if let Err(e) = gone
            && e.kind() != std::io::ErrorKind::NotFound
        {
            return Err(EngineError::system(format!("removing {}: {e}", container.dir.display())));
        }
        self.write().by_id.remove(&container.id);
        self.unreserve(&name, &container.id);
        container.vanish();
        Ok(())
    }
}

fn no_such(wanted: &str) -> EngineError {
    EngineError::not_found(format!("No such container: {wanted}"))
}

fn load(dir: &Path) -> Option<Record> {
    let read = |name: &str| {
        let bytes = std::fs::read(dir.join(name)).ok()?;
        serde_json::from_slice::<Record>(&bytes).ok()
    };
    // Torn by a power cut, or whole; missing only when the creation was never answered.
    match dir.join(FILE).exists() {
        true => read(FILE).or_else(|| read(FIRST)),
        false => None,
    }
}

/// What `wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    NotRunning,
    NextExit,
    Removed,
}

/// Waits; gives the exit code and the error of the start, if that was what ended it.
pub async fn wait(mut changes: watch::Receiver<Seen>, condition: WaitCondition) -> (i32, String) {
    let first = changes.borrow().clone();
    let ended = |seen: &Seen| match condition {
        WaitCondition::NotRunning => seen.removed || !seen.record.state.phase.is_running(),
        WaitCondition::NextExit => seen.removed || seen.exits > first.exits,
        WaitCondition::Removed => seen.removed,
    };
    // The sender lives in the container, which the receiver keeps informed until it vanishes.
    let last = match changes.wait_for(ended).await {
        Ok(seen) => seen.clone(),
        Err(_) => first,
    };
    let state = &last.record.state;
    // Who waits for the removal has seen the start fail, or will not care.
    let failed_start = condition != WaitCondition::Removed && state.exit_code != 0;
    let error = if failed_start { state.error.clone() } else { String::new() };
    (state.exit_code, error)
}
