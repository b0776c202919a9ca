//! Opening is recovery: compares the records with what the keeper holds and mends both.

use std::collections::BTreeMap;
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
    let node = engine.blocking(|e| Ok(e.runtime.observe()?)).await?;
    let seen: BTreeMap<&str, &runtime::ContainerSeen> =
        node.containers.iter().map(|c| (c.id.as_str(), c)).collect();
    let mut starts = Vec::new();
    for container in engine.containers.all() {
        let found = found(seen.get(container.id.as_str()).copied());
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

fn found(seen: Option<&runtime::ContainerSeen>) -> Found {
    let Some(seen) = seen else { return Found::Nothing };
    match (seen.state, &seen.exit) {
        (runtime::State::Running, _) => Found::Running { pid: seen.pid, paused: seen.paused },
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
        Recovery::Bury { code, at, oom } => {
            crate::exits::bury(engine, container, crate::exits::End { code, at, oom }).await?;
            match plan::after_exit(&container.record()) {
                plan::AfterExit::Stay => {}
                plan::AfterExit::Remove => engine.dispose(container).await?,
                plan::AfterExit::Restart { .. } => starts.push(container.clone()),
            }
        }
        Recovery::Remove => engine.dispose(container).await?,
        Recovery::KillAndBury => {
            let id = container.id.clone();
            engine.blocking(move |e| Ok(e.runtime.delete(&id)?)).await?;
        }
        Recovery::Start => starts.push(container.clone()),
    }
    Ok(())
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
                let ours = key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit());
                if ours && e.containers.find(&key).is_err() {
                    snapshots.remove(&key)?;
                }
            }
            for id in halves {
                let _ = std::fs::remove_dir_all(e.containers.dir_of(&id));
            }
            Ok(())
        })
        .await
}
