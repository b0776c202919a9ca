//! The engine as a whole: identity, transfers with registries, exports, sizes.

use std::io::Write;
use std::sync::Arc;

use image::{Credentials, PullRequest, PushRequest};

use crate::engine::Engine;
use crate::error::Result;

impl Engine {
    /// The same for the life of a data directory.
    pub fn id(&self) -> String {
        let path = self.config.data_dir.join("engine-id");
        if let Ok(id) = std::fs::read_to_string(&path)
            && !id.trim().is_empty()
        {
            return id.trim().to_owned();
        }
        let fresh = crate::ident::fresh_id();
        let id =
            [&fresh[..8], &fresh[8..12], &fresh[12..16], &fresh[16..20], &fresh[20..32]].join("-");
        if let Err(e) = crate::containers::replace(&path, id.as_bytes()) {
            eprintln!("engine: keeping its identity: {e}");
        }
        id
    }

    pub async fn image_pull(self: &Arc<Self>, request: PullRequest) -> Result<()> {
        let name = request.reference.familiar();
        self.images.pull(request).await?;
        self.tell_image("pull", &name, &name);
        Ok(())
    }

    pub async fn image_push(self: &Arc<Self>, request: PushRequest) -> Result<()> {
        let name = request.reference.familiar();
        self.images.push(request).await?;
        self.tell_image("push", &name, &name);
        Ok(())
    }

    /// Blocks.
    pub fn image_save(&self, names: &[String], out: &mut dyn Write) -> Result<()> {
        self.images.save(names, out)?;
        for name in names {
            if let Ok(image) = self.image(name) {
                self.tell_image("save", image.id.as_str(), name);
            }
        }
        Ok(())
    }

    /// Bytes of all unpacked layers.
    pub async fn layers_size(self: &Arc<Self>) -> Result<u64> {
        self.blocking(|e| Ok(e.images.usage()?.layers)).await
    }

    /// Bytes of a volume on disk.
    pub async fn volume_size(self: &Arc<Self>, name: &str) -> Result<u64> {
        let dir = self.volumes.get(name)?.mountpoint;
        self.blocking(move |_| Ok(crate::observe::dir_size(&dir))).await
    }
}

/// Nanoseconds all CPUs of the machine have been busy or idle (moby `daemon/stats_unix.go`).
pub(crate) fn system_cpu() -> u64 {
    const TICK: u64 = 10_000_000;
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let fields = line.split_whitespace().skip(1).take(7);
    fields.filter_map(|f| f.parse::<u64>().ok()).sum::<u64>() * TICK
}

/// Bytes of memory of the machine.
pub fn machine_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

impl Engine {
    /// The container's whole file system as a tar, without its volumes. Blocks.
    pub fn export(&self, wanted: &str, out: &mut dyn Write) -> Result<()> {
        let record = self.inspect(wanted)?;
        let spec = self.images.snapshots().get(&record.id)?;
        self.tell(&record, "export", &[]);
        self.with_root(&spec, &record.id, |root| crate::archive::export(root, out))
    }

    /// Asks the registry whether the credentials are good.
    pub async fn login(&self, credentials: Credentials) -> Result<()> {
        let server = credentials.server_address.clone();
        Ok(self.images.login(&server, credentials).await?)
    }
}
