//! Signals and what follows: stop, kill, restart, pause, wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::containers::{Container, WaitCondition, wait};
use crate::engine::Engine;
use crate::error::{EngineError, Kind, Result};
use crate::record::Phase;
use crate::signal;
use crate::time::Stamp;

/// Seconds between the signal and the kill when nobody says otherwise.
const GRACE: i64 = 10;
/// A killed process that is not gone by then hangs in the kernel.
const DEATH: Duration = Duration::from_secs(10);

/// How to stop; `None` takes the container's own settings. A negative timeout waits for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopOptions {
    pub signal: Option<String>,
    pub timeout: Option<i64>,
}

impl Engine {
    /// Not running is `NotModified`.
    pub async fn stop(self: &Arc<Self>, wanted: &str, options: &StopOptions) -> Result<()> {
        let container = self.containers.find(wanted)?;
        if !container.record().state.phase.is_running() {
            return Err(EngineError::new(Kind::NotModified, ""));
        }
        self.stop_container(&container, options).await?;
        self.tell(&container.record(), "stop", &[]);
        Ok(())
    }

    pub(crate) async fn stop_container(
        self: &Arc<Self>,
        container: &Arc<Container>,
        options: &StopOptions,
    ) -> Result<()> {
        let record = container.record();
        let name = options.signal.clone().unwrap_or_else(|| record.stop_signal().to_owned());
        let number = signal::parse(&name)
            .ok_or_else(|| EngineError::invalid(format!("Invalid signal: {name}")))?;
        let grace = options.timeout.or(record.config.stop_timeout).unwrap_or(GRACE);
        let exited = wait(container.changes(), WaitCondition::NotRunning);
        tokio::pin!(exited);
        if !self.order_stop(container, number).await? {
            return Ok(());
        }
        let patience = u64::try_from(grace).map(Duration::from_secs);
        let gone = match patience {
            Ok(patience) => tokio::time::timeout(patience, &mut exited).await.is_ok(),
            Err(_) => {
                (&mut exited).await;
                true
            }
        };
        if gone {
            return Ok(());
        }
        self.deliver(container, signal::KILL).await?;
        let late = tokio::time::timeout(DEATH, &mut exited).await;
        late.map(drop).map_err(|_| {
            EngineError::system(format!(
                "cannot stop container: {}: tried to kill container, but did not receive an exit \
                 event",
                container.id
            ))
        })
    }

    /// Marks the stop as wanted and sends the signal. False: there is nothing to wait for.
    async fn order_stop(self: &Arc<Self>, container: &Arc<Container>, number: i32) -> Result<bool> {
        let _turn = container.turn.lock().await;
        let phase = container.record().state.phase;
        match phase {
            Phase::Restarting => {
                container.bury(|r| {
                    r.state.phase = Phase::Exited;
                    r.state.stopped_by_user = true;
                })?;
                Ok(false)
            }
            Phase::Running | Phase::Paused => {
                container.update(|r| r.state.stopped_by_user = true)?;
                self.send(container, number).await?;
                if phase == Phase::Paused {
                    self.thaw(container).await?;
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn deliver(self: &Arc<Self>, container: &Arc<Container>, number: i32) -> Result<()> {
        let _turn = container.turn.lock().await;
        if !container.record().state.phase.is_live() {
            return Ok(());
        }
        self.send(container, number).await
    }

    /// A process that is gone already has got what the signal wanted.
    async fn send(self: &Arc<Self>, container: &Arc<Container>, number: i32) -> Result<()> {
        let id = container.id.clone();
        let sent = self.blocking(move |e| {
            match number {
                signal::KILL => e.runtime.kill_all(&id)?,
                number => e.runtime.signal(&id, number)?,
            }
            Ok(())
        });
        match sent.await {
            Err(e) if !matches!(e.kind, Kind::NotFound | Kind::Conflict) => return Err(e),
            _ => {}
        }
        let number = number.to_string();
        self.tell(&container.record(), "kill", &[("signal", &number)]);
        Ok(())
    }

    /// Empty: SIGKILL, which also waits for the end.
    pub async fn kill(self: &Arc<Self>, wanted: &str, name: &str) -> Result<()> {
        let container = self.containers.find(wanted)?;
        let number = match name {
            "" => signal::KILL,
            name => signal::parse(name)
                .ok_or_else(|| EngineError::invalid(format!("Invalid signal: {name}")))?,
        };
        let record = container.record();
        if !record.state.phase.is_running() {
            return Err(EngineError::conflict(format!(
                "cannot kill container: {wanted}: container {} is not running",
                container.id
            )));
        }
        if number == signal::KILL {
            let options = StopOptions { signal: Some("KILL".into()), timeout: Some(10) };
            return self.stop_container(&container, &options).await;
        }
        if signal::parse(record.stop_signal()) == Some(number) {
            container.update(|r| r.state.stopped_by_user = true)?;
        }
        self.deliver(&container, number).await
    }

    pub async fn restart(self: &Arc<Self>, wanted: &str, options: &StopOptions) -> Result<()> {
        let container = self.containers.find(wanted)?;
        container.hold_removal.store(true, Ordering::Relaxed);
        let restarted = self.restart_now(&container, options).await;
        container.hold_removal.store(false, Ordering::Relaxed);
        restarted?;
        self.tell(&container.record(), "restart", &[]);
        Ok(())
    }

    async fn restart_now(
        self: &Arc<Self>,
        container: &Arc<Container>,
        options: &StopOptions,
    ) -> Result<()> {
        if container.record().state.phase.is_running() {
            self.stop_container(container, options).await?;
            self.tell(&container.record(), "stop", &[]);
        }
        match self.start(&container.id).await {
            Err(e) if e.kind == Kind::NotModified => Ok(()),
            other => other,
        }
    }

    pub async fn pause(self: &Arc<Self>, wanted: &str) -> Result<()> {
        let container = self.containers.find(wanted)?;
        let _turn = container.turn.lock().await;
        let id = &container.id;
        match container.record().state.phase {
            Phase::Running => {}
            Phase::Paused => {
                return Err(EngineError::conflict(format!("Container {id} is already paused")));
            }
            Phase::Restarting => {
                return Err(EngineError::conflict(format!(
                    "Container {id} is restarting, wait until the container is running"
                )));
            }
            _ => return Err(EngineError::conflict(format!("Container {id} is not running"))),
        }
        let target = id.clone();
        self.blocking(move |e| Ok(e.runtime.pause(&target)?)).await?;
        let record = container.update(|r| r.state.phase = Phase::Paused)?;
        self.tell(&record, "pause", &[]);
        Ok(())
    }

    pub async fn unpause(self: &Arc<Self>, wanted: &str) -> Result<()> {
        let container = self.containers.find(wanted)?;
        let _turn = container.turn.lock().await;
        if container.record().state.phase != Phase::Paused {
            let text = format!("Container {} is not paused", container.id);
            // A plain error in moby `daemon/unpause.go`, so 500.
            return Err(EngineError::system(text));
        }
        self.thaw(&container).await
    }

    async fn thaw(self: &Arc<Self>, container: &Arc<Container>) -> Result<()> {
        let id = container.id.clone();
        self.blocking(move |e| Ok(e.runtime.unpause(&id)?)).await?;
        let record = container.update(|r| r.state.phase = Phase::Running)?;
        self.tell(&record, "unpause", &[]);
        Ok(())
    }

    /// The future that waits is made at once, so what happens after this call is not missed.
    pub fn wait(
        &self,
        wanted: &str,
        condition: WaitCondition,
    ) -> Result<impl Future<Output = (i32, String)> + Send + use<>> {
        let container = self.containers.find(wanted)?;
        Ok(wait(container.changes(), condition))
    }

    /// Stops everything that runs, as `reset` wants it; restart policies no longer count.
    pub async fn stop_all(self: &Arc<Self>) {
        let options = StopOptions { signal: Some("KILL".to_owned()), timeout: Some(10) };
        for container in self.containers.all() {
            if container.record().state.phase.is_running()
                && let Err(e) = self.stop_container(&container, &options).await
            {
                eprintln!("engine: stopping {} at {:?}: {e}", container.id, Stamp::now());
            }
        }
    }
}
