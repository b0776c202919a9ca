//! `RUN --mount=type=ssh`: a socket inside the step behind which the caller's agent answers.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::claim::Folder;
use crate::error::{Doing, Result};
use crate::rooted;

/// Passes connections on until dropped. A plain bind of the agent's own socket would not do: it
/// answers only its own user.
pub struct Forwarded {
    folder: Folder,
    task: JoinHandle<()>,
}

impl Forwarded {
    /// Must be called inside a tokio runtime.
    pub fn open(agent: &Path, work: &Path, mode: u32, owner: (u32, u32)) -> Result<Self> {
        let folder = Folder::new(work)?;
        let path = folder.0.join("agent");
        let making = || "making an agent's socket".to_owned();
        let listener = UnixListener::bind(&path).doing(making)?;
        rooted::chown(&path, owner.0, owner.1).doing(making)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).doing(making)?;
        let agent = agent.to_owned();
        let task = tokio::spawn(async move {
            while let Ok((inside, _)) = listener.accept().await {
                tokio::spawn(pass(inside, agent.clone()));
            }
        });
        Ok(Self { folder, task })
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.0.join("agent")
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut inside: UnixStream, agent: PathBuf) {
    // Closing the connection is all that ssh needs to be told.
    if let Ok(mut outside) = UnixStream::connect(&agent).await {
        let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
    }
}
