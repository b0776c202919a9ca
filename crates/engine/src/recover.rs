//! Opening is recovery: compares the records with what the keeper holds and mends both.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::containers::Container;
use crate::engine::Engine;
use crate::error::Result;
use crate::plan::{self, Found, Recovery};
use crate::record::Phase;
use crate::time::Stamp;

/// Adopts, buries, cleans and starts; then keeps listening to the keeper.
pub(crate) async fn recover(engine: &Arc<Engine>, halves: Vec<String>) -> Result<()> {
    // Subscribed before observing, so that no end falls between the two.
    let events = engine.runtime.events()?;
    // `with_root` mounts below a container's directory; a killed daemon leaves that behind.
    let leftover = |path: &Path| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"root-"))
    };
    image::unmount_leftovers(&engine.config.data_dir.join("containers"), leftover);
    let node = engine.blocking(|e| Ok(e.runtime.observe()?)).await?;
    let seen: BTreeMap<&str, &runtime::ContainerSeen> =
        node.containers.iter().map(|c| (c.id.as_str(), c)).collect();
    let mut starts = Vec::new();
    for container in engine.containers.all() {
        let seen = seen.get(container.id.as_str()).copied();
        if seen.is_some_and(|seen| stale(seen, container.record().state.phase)) {
            let id = container.id.clone();
            engine.blocking(move |e| Ok(e.runtime.delete(&id)?)).await?;
        }
        let found = found(seen);
        let recovery = plan::recover(&container.record(), found, Stamp::now());
        if let Err(e) = apply(engine, &container, recovery, &mut starts).await {
            eprintln!("engine: recovering container {}: {e}", container.id);
        }
    }
    clean(engine, halves, &node).await?;
    engine.recover_sandboxes(&node)?;
    let mut members: Vec<_> = engine.containers.all().iter().map(|c| c.record()).collect();
    members.extend(engine.sandbox_members().into_iter().map(Arc::new));
    engine.networks.recover(&members)?;
    crate::exits::pump(engine.clone(), events);
    for container in starts {
        tokio::spawn(crate::exits::start_again(engine.clone(), container));
    }
    Ok(())
}

/// What a start that was cut short left with the keeper: set up and never begun, or an end that
/// has been written down already.
fn stale(seen: &runtime::ContainerSeen, phase: Phase) -> bool {
    !phase.is_live() && seen.state != runtime::State::Running
}

fn found(seen: Option<&runtime::ContainerSeen>) -> Found {
    let Some(seen) = seen else { return Found::Nothing };
    match (seen.state, &seen.exit) {
        (runtime::State::Running, _) => Found::Running { pid: seen.pid, paused: seen.paused },
        (runtime::State::Created, None) => Found::Ready,
        (_, Some(exit)) => Found::Exited { code: exit.code, at: Stamp(exit.at), oom: exit.oom },
        _ => Found::Nothing,
    }
}

async fn apply(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    recovery: Recovery,
    starts: &mut Vec<Arc<Container>>,
) -> Result<()> {
    match recovery {
        Recovery::Keep => {}
        Recovery::Adopt { pid, paused } => {
            container.update(|r| {
                r.state.pid = pid;
                r.state.phase = if paused { Phase::Paused } else { Phase::Running };
            })?;
            crate::health::watch(engine, container);
        }
        Recovery::Begin => {
            let seen = begin(engine, &container.id).await?;
            let next = plan::recover(&container.record(), found(seen.as_ref()), Stamp::now());
            Box::pin(apply(engine, container, next, starts)).await?;
        }
        Recovery::Bury { code, at, oom } => {
            crate::exits::bury(engine, container, crate::exits::End { code, at, oom }).await?;
            match plan::after_exit(&container.record()) {
                plan::AfterExit::Stay => {}
                plan::AfterExit::Remove => engine.dispose(container).await?,
                plan::AfterExit::Restart { .. } => starts.push(container.clone()),
            }
        }
        Recovery::Remove => engine.finish_removal(container).await?,
        Recovery::KillAndBury => {
            let id = container.id.clone();
            engine.blocking(move |e| Ok(e.runtime.delete(&id)?)).await?;
        }
        Recovery::Start => starts.push(container.clone()),
    }
    Ok(())
}

/// Gives a start that was cut short, and looks what has become of it.
async fn begin(engine: &Arc<Engine>, id: &str) -> Result<Option<runtime::ContainerSeen>> {
    let id = id.to_owned();
    let begin = move |e: &Engine| {
        let refused = e.runtime.start(&id).err();
        let seen = e.runtime.observe()?.containers.into_iter().find(|c| c.id == id);
        match (refused, &seen) {
            // It may have begun, or ended, since it was looked at: then that counts.
            (Some(error), Some(seen)) if seen.state == runtime::State::Created => Err(error.into()),
            _ => Ok(seen),
        }
    };
    engine.blocking(move |e| begin(e)).await
}

/// What belongs to no record: half-made directories, snapshots, keeper's containers.
async fn clean(engine: &Arc<Engine>, halves: Vec<String>, node: &runtime::NodeSeen) -> Result<()> {
    let strangers: Vec<String> = node
        .containers
        .iter()
        .filter(|c| engine.containers.find(&c.id).is_err())
        .map(|c| c.id.clone())
        .collect();
    engine
        .blocking(move |e| {
            for id in strangers {
                e.runtime.delete(&id)?;
            }
            let snapshots = e.images.snapshots();
            for key in snapshots.keys() {
                // Only keys that look like ours: the builder has its own in the same store.
                let own = key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit());
                let owner = if own { Some(key.as_str()) } else { crate::imagemounts::owner(&key) };
                if owner.is_some_and(|id| e.containers.find(id).is_err()) {
                    snapshots.remove(&key)?;
                }
            }
            for id in &halves {
                e.unmount_shm(&e.containers.dir_of(id));
                let _ = std::fs::remove_dir_all(e.containers.dir_of(id));
            }
            for container in e.containers.all() {
                let record = container.record();
                if !record.state.phase.is_live() {
                    e.unmount_all(&record);
                }
            }
            e.volumes.drop_made_for(&halves)
        })
        .await
}
