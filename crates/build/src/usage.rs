//! What the builder keeps, as rows: layers of steps, downloads, cache mounts. One limit for all;
//! what was longest of no use goes first.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::builder::Builder;
use crate::cache::{CacheRow, Pruned};
use crate::error::{Doing, Result};

/// BuildKit's record types (`client/types.go`, `UsageRecordType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    Step,
    Download,
    Mount,
}

impl RowKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "regular",
            Self::Download => "source.http",
            Self::Mount => "exec.cachemount",
        }
    }
}

/// What to free.
#[derive(Debug, Clone)]
pub struct PruneOptions {
    /// Only what has not been used since.
    pub until: SystemTime,
    /// Stops when no more than so many bytes are left.
    pub keep: u64,
    /// Whether the contents of cache mounts go too.
    pub mounts: PruneMounts,
    /// Only rows of one of these types, if any is named.
    pub kinds: Vec<String>,
    /// Only these rows, if any is named.
    pub ids: Vec<String>,
}

/// Whether cache mounts are emptied too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneMounts {
    No,
    Yes,
}

impl PruneOptions {
    pub fn everything() -> Self {
        let until = SystemTime::now();
        let mounts = PruneMounts::Yes;
        Self { until, keep: 0, mounts, kinds: Vec::new(), ids: Vec::new() }
    }

    fn means(&self, row: &CacheRow) -> bool {
        let named = |list: &[String], text: &str| list.is_empty() || list.iter().any(|t| t == text);
        row.used <= self.until
            && (row.kind != RowKind::Mount || self.mounts == PruneMounts::Yes)
            && named(&self.kinds, row.kind.name())
            && named(&self.ids, &row.key)
    }
}

impl Builder {
    /// Longest unused first.
    pub fn cache_rows(&self) -> Vec<CacheRow> {
        let mut rows = self.cache.rows();
        rows.extend(
            self.downloads.rows().into_iter().map(|(note, url, size, used)| {
                row(RowKind::Download, stem(&note), url, size, used)
            }),
        );
        rows.extend(self.caches.rows().into_iter().map(|(key, id, size, used)| {
            row(RowKind::Mount, key, format!("cached mount {id}"), size, used)
        }));
        rows.sort_by(|a, b| (a.used, &a.key).cmp(&(b.used, &b.key)));
        rows
    }

    /// Frees what `options` mean. Downloads and mounts stay while a build runs: it may use them.
    pub fn prune(&self, options: &PruneOptions) -> Result<Pruned> {
        let hold = self.engine.images.hold();
        let alone = self.running.try_write().ok();
        let rows = self.cache_rows();
        let mut sum: u64 = rows.iter().map(|r| r.size).sum();
        let mut pruned = Pruned::default();
        for row in rows.into_iter().filter(|r| options.means(r)) {
            if sum <= options.keep && options.keep > 0 {
                break;
            }
            match row.kind {
                RowKind::Step => self.cache.drop_row(&row.key)?,
                _ if alone.is_none() => continue,
                RowKind::Download => self.downloads.remove(&row.key)?,
                RowKind::Mount => self.caches.remove(&row.key)?,
            }
            sum = sum.saturating_sub(row.size);
            pruned.bytes += row.size;
            pruned.keys.push(row.key);
        }
        drop(hold);
        Ok(pruned)
    }

    /// Brings everything kept below the limit.
    pub(crate) fn enforce(&self) -> Result<()> {
        let keep = self.limit.max(1);
        self.prune(&PruneOptions { keep, ..PruneOptions::everything() }).map(drop)
    }
}

fn row(kind: RowKind, key: String, description: String, size: u64, used: SystemTime) -> CacheRow {
    let created = jiff::Timestamp::try_from(used).map(|t| t.to_string()).unwrap_or_default();
    CacheRow { kind, key, description, created, size, used }
}

fn stem(note: &std::path::Path) -> String {
    note.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Bytes of the regular files below, whatever their number of names.
pub fn size(path: &std::path::Path) -> u64 {
    let mut sum = 0;
    let mut open: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => open.push(entry.path()),
                Ok(meta) => sum += meta.len(),
                Err(_) => {}
            }
        }
    }
    sum
}

/// Removes a folder or says which.
pub fn remove_folder(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).doing(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
