//! Attaching to a container's streams, also before it runs.

use std::sync::Arc;

use runtime::{AttachSpec, Runtime, TtySize};
use tokio::sync::oneshot;

use crate::containers::Container;
use crate::engine::Engine;
use crate::error::{Doing, EngineError, Result};
use crate::pipe::Streams;
use crate::record::Phase;

/// Somebody who wants the streams of the next run.
pub(crate) struct Waiting {
    spec: AttachSpec,
    streams: oneshot::Sender<runtime::Stdio>,
}

/// The streams of a run that may still have to begin.
pub struct Attached {
    pub tty: bool,
    next: oneshot::Receiver<runtime::Stdio>,
}

impl Attached {
    /// Waits for the run; `None` when the start failed or the container went away.
    pub async fn streams(self) -> Option<Streams> {
        Streams::new(self.next.await.ok()?).ok()
    }
}

impl Container {
    /// Connects everybody who waited, before the program's first instruction.
    pub(crate) fn serve_attaching(&self, runtime: &dyn Runtime) {
        for waiting in self.take_attaching() {
            if waiting.streams.is_closed() {
                continue;
            }
            match runtime.attach(&self.id, &waiting.spec) {
                // A client that has just gone is no error.
                Ok(stdio) => drop(waiting.streams.send(stdio)),
                Err(e) => eprintln!("engine: attaching to {}: {e}", self.id),
            }
        }
    }

    /// The start failed: those who waited see the end of the streams.
    pub(crate) fn forget_attaching(&self) {
        drop(self.take_attaching());
    }

    fn take_attaching(&self) -> Vec<Waiting> {
        std::mem::take(&mut *self.attaching.lock().expect("no panic happens under this lock"))
    }
}

impl Engine {
    /// Attaches now when it runs, else at the next start.
    pub async fn attach(self: &Arc<Self>, wanted: &str, spec: AttachSpec) -> Result<Attached> {
        let container = self.containers.find(wanted)?;
        let _turn = container.turn.lock().await;
        let record = container.record();
        let (streams, next) = oneshot::channel();
        match record.state.phase {
            Phase::Paused => {
                return Err(EngineError::conflict(format!(
                    "container {wanted} is paused, unpause the container before attach"
                )));
            }
            Phase::Restarting => {
                return Err(EngineError::conflict(format!(
                    "container {wanted} is restarting, wait until the container is running"
                )));
            }
            Phase::Running => {
                let id = container.id.clone();
                let stdio = self.blocking(move |e| Ok(e.runtime.attach(&id, &spec)?)).await?;
                drop(streams.send(stdio));
            }
            _ => {
                let mut attaching =
                    container.attaching.lock().expect("no panic happens under this lock");
                attaching.retain(|w| !w.streams.is_closed());
                attaching.push(Waiting { spec, streams });
            }
        }
        self.tell(&record, "attach", &[]);
        Ok(Attached { tty: record.config.tty, next })
    }

    pub async fn resize(self: &Arc<Self>, wanted: &str, rows: u16, cols: u16) -> Result<()> {
        let container = self.containers.find(wanted)?;
        if !container.record().state.phase.is_live() {
            let text = format!("container {} is not running", container.id);
            return Err(EngineError::conflict(text));
        }
        let (id, size) = (container.id.clone(), TtySize { rows, cols });
        self.blocking(move |e| Ok(e.runtime.resize(&id, size)?)).await?;
        let (height, width) = (rows.to_string(), cols.to_string());
        self.tell(&container.record(), "resize", &[("height", &height), ("width", &width)]);
        Ok(())
    }

    /// The client left with the detach keys.
    pub fn detached(&self, wanted: &str) -> Result<()> {
        let container = self.containers.find(wanted).doing(|| "detaching".to_owned())?;
        self.tell(&container.record(), "detach", &[]);
        Ok(())
    }
}
