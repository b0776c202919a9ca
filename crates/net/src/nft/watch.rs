//! Noticing that somebody deleted our tables (`nft flush ruleset`, a restart of the host's own
//! firewall service), without ever looking on a timer.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{MsgFlags, recv};
use tokio::io::unix::AsyncFd;

use super::encode;
use crate::Error;
use crate::error::Context;
use crate::netlink::{Packets, listen_to_firewall};

/// Hears of deleted tables in the namespace in which it was opened.
#[derive(Debug)]
pub struct FirewallWatch(AsyncFd<OwnedFd>);

impl FirewallWatch {
    /// Opens the watch on the runtime of the caller.
    pub fn open() -> Result<FirewallWatch, Error> {
        // SAFETY: an `OwnedFd` stays the same open descriptor until it is dropped, and `AsyncFd`
        // takes it out of the runtime before it drops it.
        let fd = unsafe { AsyncFd::register(listen_to_firewall()?) };
        fd.map(FirewallWatch).context(|| "cannot watch the firewall".into())
    }

    /// Waits until some table was deleted, by anybody, or until so much happened that the kernel
    /// could not tell it all. Then [`super::Firewall::restore_if_lost`] knows more.
    pub async fn table_deleted(&self) -> Result<(), Error> {
        let what = || "cannot read changes of the firewall".to_string();
        loop {
            let mut ready = self.0.readable().await.context(what)?;
            match ready.try_io(|fd| tells_of_deletion(fd.get_ref())) {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) | Err(_) => {}
                Ok(Err(e)) => return Err(Error::new(what(), e)),
            }
        }
    }
}

fn tells_of_deletion(fd: &OwnedFd) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    match recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
        Ok(length) => {
            let deleted = encode::kind(encode::DELTABLE);
            Ok(Packets::new(&buffer[..length]).any(|(header, _)| header.kind == deleted))
        }
        Err(nix::errno::Errno::ENOBUFS) => Ok(true),
        Err(e) => Err(e.into()),
    }
}
