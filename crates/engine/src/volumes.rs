//! Named and anonymous volumes: a directory and a record each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use serde::{Deserialize, Serialize};

use crate::containers::{replace, sync};
use crate::error::{Doing, EngineError, Result};
use crate::filter::Filters;
use crate::ident::{fresh_id, is_name};
use crate::time::Stamp;

/// The label Docker gives volumes that nobody named.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";
const FILE: &str = "volume.json";

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    pub name: String,
    pub created: Stamp,
    pub labels: Option<BTreeMap<String, String>>,
    pub options: Option<BTreeMap<String, String>>,
    /// The directory that containers see.
    pub mountpoint: PathBuf,
    /// The container that a nameless volume was made for, in case its making is cut short.
    pub made_for: String,
}

impl Volume {
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.as_ref()?.get(key).map(String::as_str)
    }
}

pub struct Volumes {
    root: PathBuf,
    all: RwLock<BTreeMap<String, Volume>>,
}

impl Volumes {
    /// Reads the records; directories without one are half-made and go.
    pub fn open(root: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&root).doing(|| format!("creating {}", root.display()))?;
        let mut all = BTreeMap::new();
        for entry in std::fs::read_dir(&root).doing(|| format!("reading {}", root.display()))? {
            let dir = entry?.path();
            let bytes = std::fs::read(dir.join(FILE)).unwrap_or_default();
            match serde_json::from_slice::<Volume>(&bytes) {
                Ok(volume) => drop(all.insert(volume.name.clone(), volume)),
                Err(_) => {
                    crate::volmounts::uncover(&dir)?;
                    std::fs::remove_dir_all(&dir)
                        .doing(|| format!("removing half-made {}", dir.display()))?;
                }
            }
        }
        Ok(Self { root, all: RwLock::new(all) })
    }

    pub fn list(&self) -> Vec<Volume> {
        self.all.read().expect("no panic happens under this lock").values().cloned().collect()
    }

    pub fn get(&self, name: &str) -> Result<Volume> {
        let all = self.all.read().expect("no panic happens under this lock");
        let missing = || EngineError::not_found(format!("get {name}: no such volume"));
        all.get(name).cloned().ok_or_else(missing)
    }

    /// Gives the existing volume of that name or makes it. An empty name makes an anonymous one.
    /// The flag says whether it is new.
    pub fn ensure(&self, wanted: &Volume) -> Result<(Volume, bool)> {
        let mut volume = wanted.clone();
        if volume.name.is_empty() {
            volume.name = fresh_id();
            volume.labels.get_or_insert_default().insert(ANONYMOUS.to_owned(), String::new());
        }
        check(&volume)?;
        let mut all = self.all.write().expect("no panic happens under this lock");
        if let Some(known) = all.get(&volume.name) {
            return Ok((known.clone(), false));
        }
        let dir = self.root.join(&volume.name);
        volume.mountpoint = dir.join("_data");
        volume.created = Stamp::now();
        make(&dir, &volume)?;
        all.insert(volume.name.clone(), volume.clone());
        Ok((volume, true))
    }

    /// Removes the nameless volumes of containers that never came to be.
    pub(crate) fn drop_made_for(&self, containers: &[String]) -> Result<()> {
        for volume in self.list() {
            if containers.contains(&volume.made_for) {
                self.remove(&volume.name)?;
            }
        }
        Ok(())
    }

    /// Removes a volume that nothing uses (the caller has made sure).
    pub fn remove(&self, name: &str) -> Result<Volume> {
        let mut all = self.all.write().expect("no panic happens under this lock");
        let missing = || EngineError::not_found(format!("get {name}: no such volume"));
        let volume = all.get(name).cloned().ok_or_else(missing)?;
        let dir = self.root.join(name);
        crate::volmounts::uncover(&dir)?;
        // Without its record it is half-made: a crash from here on finishes the removal.
        let _ = std::fs::remove_file(dir.join(FILE));
        std::fs::remove_dir_all(&dir).doing(|| format!("removing volume {name}"))?;
        all.remove(name);
        Ok(volume)
    }
}

fn check(volume: &Volume) -> Result<()> {
    let name = &volume.name;
    if !is_name(name) {
        return Err(EngineError::invalid(format!(
            "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, \
             use absolute path"
        )));
    }
    let options = volume.options.clone().unwrap_or_default();
    crate::volmounts::check(&options)
        .map_err(|e| EngineError::invalid(format!("create {name}: {e}")))
}

fn make(dir: &Path, volume: &Volume) -> Result<()> {
    std::fs::create_dir_all(&volume.mountpoint).doing(|| format!("creating {}", dir.display()))?;
    let bytes = serde_json::to_vec(volume).doing(|| format!("encoding {}", volume.name))?;
    replace(&dir.join(FILE), &bytes)?;
    sync(&dir.join(FILE))
}

/// `volume ls` filters. `used` says whether a container refers to the volume.
pub fn matches(filters: &Filters, volume: &Volume, used: bool) -> Result<bool> {
    filters.only(&["dangling", "driver", "label", "name"])?;
    let dangling = filters.has("dangling").then(|| filters.flag("dangling", false)).transpose()?;
    Ok(dangling.is_none_or(|wanted| wanted != used)
        && filters.any("driver", |d| d == "local")
        && filters.any("name", |n| volume.name.contains(n))
        && filters.labels("label", |k| volume.label(k)))
}

#[cfg(test)]
mod tests {
    use super::{ANONYMOUS, Volume, Volumes};

    #[test]
    fn survive_reopening_and_halves_go() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = Volumes::open(dir.path().to_owned()).unwrap();
        let named = Volume { name: "data".into(), ..Volume::default() };
        assert!(volumes.ensure(&named).unwrap().1);
        assert!(!volumes.ensure(&named).unwrap().1);
        let (anonymous, _) = volumes.ensure(&Volume::default()).unwrap();
        assert_eq!(anonymous.label(ANONYMOUS), Some(""));
        std::fs::create_dir_all(dir.path().join("half/_data")).unwrap();
        let volumes = Volumes::open(dir.path().to_owned()).unwrap();
        assert_eq!(volumes.list().len(), 2);
        assert!(!dir.path().join("half").exists());
        volumes.remove("data").unwrap();
        assert_eq!(volumes.get("data").unwrap_err().message, "get data: no such volume");
        for bad in ["../x", "a/b", "."] {
            let wanted = Volume { name: bad.into(), ..Volume::default() };
            assert!(volumes.ensure(&wanted).is_err(), "{bad}");
        }
    }
}
