//! The interface every runtime offers: the real one ([`crate::Keeper`]) and the fake one
//! ([`crate::FakeRuntime`]). [`crate::suite`] runs the same checks on both.

use crate::error::Result;
use crate::resources::Resources;
use crate::seen::{ContainerSeen, Event, ExecStarted, NodeSeen, SandboxSeen, Stats, Stdio};
use crate::spec::{AttachSpec, ContainerSpec, ExecSpec, SandboxSpec, TtySize};

/// All calls block and may come from any thread. Deleting what is not there succeeds; every other
/// call on something missing is [`crate::ErrorKind::NotFound`].
pub trait Runtime: Send + Sync {
    /// Makes and pins the namespaces. The network namespace has only `lo`.
    fn create_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxSeen>;

    /// Kills what still runs in its process namespace; containers must be deleted before.
    fn delete_sandbox(&self, id: &str) -> Result<()>;

    /// Sets everything up and stops before executing the program. On an error nothing is left.
    fn create(&self, spec: &ContainerSpec) -> Result<ContainerSeen>;

    /// Returns when the program has been executed. After an error the container is `Exited`.
    fn start(&self, id: &str) -> Result<ContainerSeen>;

    /// To the first process only.
    fn signal(&self, id: &str, signal: i32) -> Result<()>;

    /// SIGKILL to every process of the container.
    fn kill_all(&self, id: &str) -> Result<()>;

    /// Freezes or thaws; doing it twice succeeds.
    fn pause(&self, id: &str) -> Result<()>;
    fn unpause(&self, id: &str) -> Result<()>;

    /// Changes the given limits of a live container, keeps the others.
    fn update(&self, id: &str, resources: &Resources) -> Result<()>;

    fn stats(&self, id: &str) -> Result<Stats>;

    /// From now on; what came before is in the log.
    fn attach(&self, id: &str, spec: &AttachSpec) -> Result<Stdio>;

    fn resize(&self, id: &str, size: TtySize) -> Result<()>;

    fn exec(&self, spec: &ExecSpec) -> Result<ExecStarted>;
    fn exec_resize(&self, exec: &str, size: TtySize) -> Result<()>;
    fn exec_signal(&self, exec: &str, signal: i32) -> Result<()>;

    /// Opens the log file by its name again, after somebody else moved it (CRI).
    fn reopen_log(&self, id: &str) -> Result<()>;

    /// Kills what still runs, then removes cgroups and records. The log file stays.
    fn delete(&self, id: &str) -> Result<()>;

    fn observe(&self) -> Result<NodeSeen>;

    /// Everything that happens from now on, in order. Subscribe, then observe: nothing is missed.
    fn events(&self) -> Result<Box<dyn Events>>;
}

/// A subscription. Dropping it ends it.
pub trait Events: Send {
    /// Blocks for the next event; an error means the keeper is gone.
    fn next(&mut self) -> Result<Event>;
}
