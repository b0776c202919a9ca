//! What happens when a container's process ends, and the pump of the keeper's events.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::containers::Container;
use crate::engine::Engine;
use crate::error::Result;
use crate::events::Attributes;
use crate::plan::{AfterExit, after_exit};
use crate::record::{Phase, Record};
use crate::time::Stamp;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub code: i32,
    pub at: Stamp,
    pub oom: bool,
}

/// A thread that listens to the keeper (its interface blocks) and a task that acts.
pub(crate) fn pump(engine: Arc<Engine>, mut events: Box<dyn runtime::Events>) {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let listen = move || {
        while let Ok(event) = events.next() {
            if tx.send(event).is_err() {
                return;
            }
        }
        eprintln!("engine: the keeper has gone; ends of containers are no longer seen");
    };
    let thread = std::thread::Builder::new().name("keeper-events".into()).stack_size(128 << 10);
    if let Err(e) = thread.spawn(listen) {
        eprintln!("engine: starting the thread that listens to the keeper: {e}");
    }
    tokio::spawn(async move {
        while let Some(event) = rx.recv().await {
            on_event(&engine, event);
        }
    });
}

fn on_event(engine: &Arc<Engine>, event: runtime::Event) {
    match event {
        runtime::Event::Started { .. } => {}
        runtime::Event::Exited { id, exit } => {
            if let Ok(container) = engine.containers.find(&id) {
                let end = End { code: exit.code, at: Stamp(exit.at), oom: exit.oom };
                tokio::spawn(ended(engine.clone(), container, end));
            }
        }
        runtime::Event::Oom { id, .. } => {
            if let Ok(container) = engine.containers.find(&id) {
                engine.tell(&container.record(), "oom", &[]);
            }
        }
        runtime::Event::ExecExited { id, container, code, at } => {
            engine.execs.ended(&id, code, Stamp(at));
            if let Ok(container) = engine.containers.find(&container)
                && engine.execs.get(&id).is_ok()
            {
                let code = code.to_string();
                let extra = [("execID", id.as_str()), ("exitCode", code.as_str())];
                engine.tell(&container.record(), "exec_die", &extra);
            }
        }
    }
}

async fn ended(engine: Arc<Engine>, container: Arc<Container>, end: End) {
    let turn = container.turn.lock().await;
    if !container.record().state.phase.is_live() {
        return;
    }
    if let Err(e) = bury(&engine, &container, end).await {
        eprintln!("engine: recording the end of {}: {e}", container.id);
    }
    let record = container.record();
    let held = container.hold_removal.load(std::sync::atomic::Ordering::Relaxed);
    match after_exit(&record) {
        AfterExit::Stay => {}
        AfterExit::Remove if held => {}
        AfterExit::Remove => {
            if let Err(e) = engine.dispose(&container).await {
                eprintln!("engine: removing {} after its end: {e}", container.id);
            }
        }
        AfterExit::Restart { backoff } => {
            let _ = container.update(|r| {
                r.state.phase = Phase::Restarting;
                r.state.backoff = backoff;
            });
            drop(turn);
            restart_later(engine, container.clone(), backoff);
        }
    }
}

/// Frees what the process held and writes its end down. The caller holds the turn.
pub(crate) async fn bury(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    end: End,
) -> Result<Arc<Record>> {
    engine.free(container).await;
    let before = container.record();
    let record = container.bury(|r| {
        let state = &mut r.state;
        state.phase = Phase::Exited;
        state.pid = 0;
        state.exit_code = end.code;
        state.finished = end.at;
        state.oom_killed = end.oom;
        r.endpoints.values_mut().for_each(crate::config::EndpointSettings::release);
    })?;
    engine.execs.forget(&container.id);
    let ran = (end.at.0 - before.state.started.0).max(0) / 1_000_000_000;
    let (code, ran) = (end.code.to_string(), ran.to_string());
    engine.tell(&record, "die", &[("execDuration", &ran), ("exitCode", &code)]);
    Ok(record)
}

/// Starts again after the back-off, unless something else happened to the container meanwhile.
fn restart_later(engine: Arc<Engine>, container: Arc<Container>, backoff: i64) {
    let nanos = u64::try_from(backoff).unwrap_or_default();
    let count = container.record().state.restart_count;
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_nanos(nanos)).await;
        let state = &container.record().state;
        if state.phase == Phase::Restarting && state.restart_count == count {
            start_again(engine, container).await;
        }
    });
}

/// A start that the policy asked for; a failure counts as another end.
pub(crate) async fn start_again(engine: Arc<Engine>, container: Arc<Container>) {
    let turn = container.turn.lock().await;
    let record = container.record();
    let again = record.state.phase == Phase::Restarting;
    if record.state.phase.is_live() || record.state.phase == Phase::Removing {
        return;
    }
    if !again && record.state.stopped_by_user && record.host.restart_policy.name != "always" {
        return;
    }
    let _ = container.update(|r| r.state.restart_count += u32::from(again));
    if let Err(e) = engine.launch(&container).await {
        eprintln!("engine: restarting {}: {e}", container.id);
        let end = End { code: container.record().state.exit_code, at: Stamp::now(), oom: false };
        let _ = bury(&engine, &container, end).await;
        if let AfterExit::Restart { backoff } = after_exit(&container.record()) {
            let _ = container.update(|r| {
                r.state.phase = Phase::Restarting;
                r.state.backoff = backoff;
            });
            drop(turn);
            restart_later(engine, container.clone(), backoff);
        }
    }
}

impl Engine {
    /// Publishes an event about a container, with its labels, image and name as attributes.
    pub(crate) fn tell(&self, record: &Record, action: &str, extra: &[(&str, &str)]) {
        if record.pod.is_some() {
            return;
        }
        let mut attributes = record.config.labels.clone().unwrap_or_default();
        attributes.insert("image".to_owned(), record.config.image.clone());
        attributes.insert("name".to_owned(), record.name.clone());
        attributes.extend(extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        self.events.publish("container", action, &record.id, Attributes(attributes));
    }
}
