//! Removing, renaming, updating.

use std::sync::Arc;

use crate::config::{HostConfig, RestartPolicy};
use crate::containers::Container;
use crate::engine::Engine;
use crate::error::{EngineError, Kind, Result};
use crate::events::Attributes;
use crate::ident::container_name;
use crate::record::{Phase, Record};
use crate::stop::StopOptions;

/// What goes with a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemoveOptions {
    /// A running container is killed first.
    pub force: bool,
    /// Its anonymous volumes go as well.
    pub volumes: bool,
}

impl Engine {
    pub async fn remove(self: &Arc<Self>, wanted: &str, options: RemoveOptions) -> Result<()> {
        let container = self.containers.find(wanted)?;
        let record = container.record();
        if record.state.phase.is_running() {
            if !options.force {
                return Err(refuse_running(&record));
            }
            // The end must not be taken for one that `--rm` or a policy acts on.
            container.hold_removal.store(true, std::sync::atomic::Ordering::Relaxed);
            let kill = StopOptions { signal: Some("KILL".into()), timeout: Some(10) };
            self.stop_container(&container, &kill).await?;
        }
        let _turn = container.turn.lock().await;
        let phase = container.record().state.phase;
        if phase.is_running() {
            return Err(refuse_running(&container.record()));
        }
        if phase == Phase::Removing {
            return Err(EngineError::conflict(format!(
                "removal of container {wanted} is already in progress"
            )));
        }
        self.dismantle(&container, options.volumes).await
    }

    /// Removal as `--rm` does it: with the anonymous volumes. The caller holds the turn or is
    /// alone.
    pub(crate) async fn dispose(self: &Arc<Self>, container: &Arc<Container>) -> Result<()> {
        self.dismantle(container, true).await
    }

    /// Carries a removal through that a crash cut short, as far as it was asked for.
    pub(crate) async fn finish_removal(self: &Arc<Self>, container: &Arc<Container>) -> Result<()> {
        let record = container.record();
        let volumes = record.state.removes_volumes || record.host.auto_remove;
        self.dismantle(container, volumes).await
    }

    async fn dismantle(self: &Arc<Self>, container: &Arc<Container>, volumes: bool) -> Result<()> {
        let record = container.update(|r| {
            r.state.phase = Phase::Removing;
            r.state.removes_volumes = volumes;
        })?;
        let hands = container.clone();
        let done = self.blocking(move |e| e.dismantle_now(&hands)).await;
        if let Err(e) = done {
            let text = format!("unable to remove container {}: {e}", record.id);
            container.update(|r| {
                r.state.phase = Phase::Dead;
                r.state.error.clone_from(&text);
            })?;
            return Err(EngineError::system(text));
        }
        self.tell(&record, "destroy", &[]);
        Ok(())
    }

    /// The record goes last: until then recovery can finish the job.
    fn dismantle_now(&self, container: &Arc<Container>) -> Result<()> {
        let record = container.record();
        self.runtime.delete(&container.id)?;
        self.unmount_all(&record);
        self.drop_images(&record)?;
        self.images.snapshots().remove(&container.id)?;
        if record.state.removes_volumes {
            for mount in record.mounts.iter().filter(|m| m.kind == "volume" && m.anonymous) {
                self.drop_volume_unless_used_by_others(&mount.name, &record.id);
            }
        }
        self.containers.forget(container)
    }

    fn drop_volume_unless_used_by_others(&self, name: &str, id: &str) {
        let others = self.volume_users(name).iter().any(|user| user != id);
        if !others && self.volumes.remove(name).is_ok() {
            let attributes = Attributes::new([("driver", "local")]);
            self.events.publish("volume", "destroy", name, attributes);
        }
    }

    /// Ids of the containers that refer to a volume.
    pub(crate) fn volume_users(&self, name: &str) -> Vec<String> {
        let uses = |r: &Record| r.mounts.iter().any(|m| m.kind == "volume" && m.name == name);
        let all = self.containers.all();
        all.iter().filter(|c| uses(&c.record())).map(|c| c.id.clone()).collect()
    }

    pub async fn rename(self: &Arc<Self>, wanted: &str, name: &str) -> Result<()> {
        let container = self.containers.find(wanted)?;
        if name.is_empty() {
            return Err(EngineError::invalid("Neither old nor new names may be empty"));
        }
        let new = container_name(name)?;
        let _turn = container.turn.lock().await;
        let old = container.record().name.clone();
        if old == new {
            return Err(EngineError::invalid(
                "Renaming a container with the same name as its current name",
            ));
        }
        self.containers.reserve(&new, &container.id)?;
        let renamed = container.update(|r| r.name.clone_from(&new));
        self.containers.unreserve(if renamed.is_ok() { &old } else { &new }, &container.id);
        let record = renamed?;
        self.tell(&record, "rename", &[("oldName", &format!("/{old}"))]);
        Ok(())
    }

    /// Changes limits and restart policy; zero values leave a limit alone. Gives warnings.
    pub async fn update(
        self: &Arc<Self>,
        wanted: &str,
        changes: HostConfig,
    ) -> Result<Vec<String>> {
        let container = self.containers.find(wanted)?;
        let _turn = container.turn.lock().await;
        let record = container.record();
        if matches!(record.state.phase, Phase::Removing | Phase::Dead) {
            return Err(cannot_update(
                wanted,
                "Container is marked for removal and cannot be \"update\".",
            ));
        }
        let host = merged(&record.host, changes);
        let warnings = crate::check::check(&record.config, &host, &self.machine)
            .map_err(|e| e.context(&format!("Cannot update container {}", container.id)))?;
        if record.state.phase.is_live() {
            let (id, limits) = (container.id.clone(), crate::launch::resources(&host));
            self.blocking(move |e| Ok(e.runtime.update(&id, &limits)?)).await?;
        }
        let record = container.update(|r| r.host = host)?;
        self.tell(&record, "update", &[]);
        Ok(warnings)
    }
}

fn refuse_running(record: &Record) -> EngineError {
    let (state, hint) = match record.state.phase {
        Phase::Paused => {
            ("paused", "unpause and then stop the container before removal or force remove")
        }
        Phase::Restarting => ("restarting", "stop the container before removal or force remove"),
        _ => ("running", "stop the container before removal or force remove"),
    };
    EngineError::conflict(format!(
        "cannot remove container \"{}\": container is {state}: {hint}",
        record.name
    ))
}

fn cannot_update(wanted: &str, why: &str) -> EngineError {
    EngineError::new(Kind::Conflict, format!("Cannot update container {wanted}: {why}"))
}

/// moby `container/container_unix.go`, `UpdateContainer`.
fn merged(old: &HostConfig, new: HostConfig) -> HostConfig {
    let mut out = old.clone();
    let set = |field: &mut i64, value: i64| {
        if value != 0 {
            *field = value;
        }
    };
    set(&mut out.cpu_shares, new.cpu_shares);
    if new.nano_cpus != 0 {
        out.nano_cpus = new.nano_cpus;
        out.cpu_period = 0;
        out.cpu_quota = 0;
    }
    set(&mut out.cpu_period, new.cpu_period);
    set(&mut out.cpu_quota, new.cpu_quota);
    set(&mut out.memory_reservation, new.memory_reservation);
    set(&mut out.memory_swap, new.memory_swap);
    if new.memory != 0 {
        out.memory = new.memory;
        if new.memory_swap == 0 && out.memory_swap > 0 && out.memory_swap < new.memory {
            out.memory_swap = new.memory.saturating_mul(2);
        }
    }
    if new.blkio_weight != 0 {
        out.blkio_weight = new.blkio_weight;
    }
    if !new.cpuset_cpus.is_empty() {
        out.cpuset_cpus = new.cpuset_cpus;
    }
    if !new.cpuset_mems.is_empty() {
        out.cpuset_mems = new.cpuset_mems;
    }
    if let Some(pids) = new.pids_limit {
        out.pids_limit = (pids != 0).then_some(pids);
    }
    if !new.restart_policy.name.is_empty() {
        out.restart_policy = RestartPolicy { ..new.restart_policy };
    }
    out
}
