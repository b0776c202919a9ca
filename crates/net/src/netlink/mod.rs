//! A small synchronous netlink: one socket, several requests in one system call.
//!
//! The kernel answers netlink requests before `sendto` returns, so nothing here waits; a
//! container is attached within a few hundred microseconds and without an async machinery.

mod message;
mod parse;

pub(crate) use message::Message;
pub(crate) use parse::{Attrs, Header, Packets};

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto,
    setsockopt, socket, sockopt,
};

use crate::error::{Context, Error};

pub(crate) const REQUEST: u16 = 1;
pub(crate) const ACK: u16 = 4;
pub(crate) const DUMP: u16 = 0x300;
pub(crate) const EXCLUSIVE: u16 = 0x200;
pub(crate) const CREATE: u16 = 0x400;
pub(crate) const REPLACE: u16 = 0x100;
pub(crate) const APPEND: u16 = 0x800;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// A netlink socket of the network namespace in which it was opened, wherever it is used.
#[derive(Debug)]
pub(crate) struct Netlink {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// One answer of the kernel: the type of the message and its payload.
pub(crate) type Reply = (u16, Vec<u8>);

impl Netlink {
    /// Opens a socket for links, addresses and routes.
    pub(crate) fn route() -> Result<Netlink, Error> {
        Netlink::open(SockProtocol::NetlinkRoute)
    }

    /// Opens a socket for nftables and connection tracking.
    pub(crate) fn netfilter() -> Result<Netlink, Error> {
        Netlink::open(SockProtocol::NetlinkNetFilter)
    }

    fn open(protocol: SockProtocol) -> Result<Netlink, Error> {
        let fd = open_socket(protocol, SockFlag::SOCK_CLOEXEC, 0)
            .context(|| "cannot open a netlink socket".into())?;
        option(&fd, libc::NETLINK_EXT_ACK);
        option(&fd, libc::NETLINK_CAP_ACK);
        Ok(Netlink { fd, sequence: 0, buffer: vec![0; 64 << 10] })
    }

    /// Sends all requests at once and reads all acknowledgements. The first refusal is the
    /// error; what came before and after it may have been done.
    pub(crate) fn requests(&mut self, requests: Vec<Message>) -> Result<(), Error> {
        let first = self.sequence + 1;
        let mut bytes = Vec::with_capacity(requests.len() * 128);
        let whats: Vec<String> = requests.iter().map(|r| r.what.clone()).collect();
        for request in requests {
            self.sequence += 1;
            bytes.extend(request.finish(ACK, self.sequence));
        }
        self.send(&bytes, "a request")?;
        let mut failed = None;
        let mut open = whats.len();
        while open > 0 {
            let length = self.receive()?;
            for (header, payload) in Packets::new(&self.buffer[..length]) {
                if header.kind != ERROR || header.sequence < first {
                    continue;
                }
                open -= 1;
                let index = (header.sequence - first) as usize;
                if let Some(error) = refusal(&header, payload) {
                    let what = whats.get(index).cloned().unwrap_or_default();
                    failed.get_or_insert(error.named(what));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Sends one request.
    pub(crate) fn request(&mut self, request: Message) -> Result<(), Error> {
        self.requests(vec![request])
    }

    /// Sends a request that is answered by messages (and, for a dump, by an end).
    pub(crate) fn query(&mut self, request: Message, flags: u16) -> Result<Vec<Reply>, Error> {
        self.sequence += 1;
        let what = request.what.clone();
        let bytes = request.finish(flags, self.sequence);
        self.send(&bytes, &what)?;
        let mut replies = Vec::new();
        loop {
            let length = self.receive()?;
            for (header, payload) in Packets::new(&self.buffer[..length]) {
                if header.sequence != self.sequence {
                    continue;
                }
                match header.kind {
                    DONE => return Ok(replies),
                    ERROR => match refusal(&header, payload) {
                        Some(error) => return Err(error.named(what)),
                        None => return Ok(replies),
                    },
                    kind => replies.push((kind, payload.to_vec())),
                }
                if flags & DUMP == 0 {
                    return Ok(replies);
                }
            }
        }
    }

    /// Sends a ready batch of messages in one datagram, however large, and gives every refusal
    /// with the sequence number of its message. The kernel has done all of it on return.
    pub(crate) fn batch(&mut self, bytes: &[u8], last: u32) -> Result<Vec<(u32, Refusal)>, Error> {
        // A datagram must fit the send buffer as a whole; the forced option passes the limit.
        let room = bytes.len() * 2 + (64 << 10);
        if setsockopt(&self.fd, sockopt::SndBufForce, &room).is_err() {
            setsockopt(&self.fd, sockopt::SndBuf, &room)
                .context(|| "cannot enlarge the netlink send buffer".into())?;
        }
        let _ = setsockopt(&self.fd, sockopt::RcvBufForce, &(4 << 20));
        self.send(bytes, "a batch")?;
        let mut refused = Vec::new();
        loop {
            let length = self.receive()?;
            let mut ended = false;
            for (header, payload) in Packets::new(&self.buffer[..length]) {
                if header.kind != ERROR {
                    continue;
                }
                ended |= header.sequence == last;
                if let Some(refusal) = refusal(&header, payload) {
                    refused.push((header.sequence, refusal));
                }
            }
            // After a refusal the last message may get no answer of its own; whatever there is
            // waits in the socket already.
            if ended || (!refused.is_empty() && !self.more()) {
                return Ok(refused);
            }
        }
    }

    pub(crate) fn next_sequence(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    fn more(&self) -> bool {
        let mut probe = [0u8; 1];
        recv(self.fd.as_raw_fd(), &mut probe, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT).is_ok()
    }

    fn send(&self, bytes: &[u8], what: &str) -> Result<(), Error> {
        let kernel = NetlinkAddr::new(0, 0);
        sendto(self.fd.as_raw_fd(), bytes, &kernel, MsgFlags::empty())
            .context(|| format!("cannot send {what} to the kernel"))?;
        Ok(())
    }

    fn receive(&mut self) -> Result<usize, Error> {
        let peek = MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC;
        let what = || "cannot read the kernel's answer".to_string();
        let size = recv(self.fd.as_raw_fd(), &mut self.buffer[..0], peek).context(what)?;
        if size > self.buffer.len() {
            self.buffer.resize(size, 0);
        }
        recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::empty()).context(what)
    }
}

/// A socket that does not block and hears what others change in the firewall (the kernel's group
/// `NFNLGRP_NFTABLES`).
pub(crate) fn listen_to_firewall() -> Result<OwnedFd, Error> {
    const NFTABLES_GROUP: u32 = 7;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    open_socket(SockProtocol::NetlinkNetFilter, flags, 1 << (NFTABLES_GROUP - 1))
        .context(|| "cannot listen to changes of the firewall".into())
}

fn open_socket(protocol: SockProtocol, flags: SockFlag, groups: u32) -> nix::Result<OwnedFd> {
    let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, Some(protocol))?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(fd)
}

/// A refusal: the errno and the kernel's explanation.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) errno: i32,
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn named(self, what: String) -> Error {
        let cause = io::Error::from_raw_os_error(self.errno);
        let what = if self.text.is_empty() { what } else { format!("{what} ({})", self.text) };
        Error { what, cause }
    }
}

/// Reads an acknowledgement: `None` is success.
fn refusal(header: &Header, payload: &[u8]) -> Option<Refusal> {
    const CAPPED: u16 = 0x100;
    const HAS_TLVS: u16 = 0x200;
    const MESSAGE: u16 = 1;
    let code = i32::from_ne_bytes(payload.get(..4)?.try_into().ok()?);
    if code == 0 {
        return None;
    }
    let mut text = String::new();
    if header.flags & HAS_TLVS != 0 && header.flags & CAPPED != 0 {
        let attrs = Attrs::new(payload.get(20..).unwrap_or_default());
        text = attrs.text(MESSAGE).unwrap_or_default();
    }
    Some(Refusal { errno: -code, text })
}

/// Switches a socket option on; an old kernel without it only explains less.
fn option(fd: &OwnedFd, name: libc::c_int) {
    let on: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the pointer is to a value of the given size.
    unsafe {
        let value = std::ptr::from_ref(&on).cast();
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_NETLINK, name, value, size);
    }
}
