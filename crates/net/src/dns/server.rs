//! The loop of one server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use netplan::dns::wire::code;
use netplan::dns::{Answer, Transport, Zone, answer, failure, finish};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{DnsSockets, Forwarder};
use crate::error::{Context, Error};

/// A zone that its owner replaces as a whole; each query sees one or the other.
pub type SharedZone = Arc<ArcSwap<Zone>>;

/// A running server; dropping it stops it and closes its sockets.
#[derive(Debug)]
pub struct DnsServer {
    tasks: [JoinHandle<()>; 2],
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Starts a server on the runtime of the caller. Without a forwarder, names outside of the zone
/// cannot be resolved (internal networks).
pub fn serve(
    sockets: DnsSockets,
    zone: SharedZone,
    forward: Option<Arc<Forwarder>>,
) -> Result<DnsServer, Error> {
    let what = || "cannot hand a DNS socket to the runtime".to_string();
    let udp = Arc::new(UdpSocket::from_std(sockets.udp).context(what)?);
    let tcp = TcpListener::from_std(sockets.tcp).context(what)?;
    let resolver = Resolver { zone, forward };
    let tasks =
        [tokio::spawn(run_udp(udp, resolver.clone())), tokio::spawn(run_tcp(tcp, resolver))];
    Ok(DnsServer { tasks })
}

#[derive(Clone)]
struct Resolver {
    zone: SharedZone,
    forward: Option<Arc<Forwarder>>,
}

impl Resolver {
    /// What needs no waiting; `None` is "nothing to send", the error is what to do slowly.
    fn at_once(&self, query: &[u8], transport: Transport) -> Result<Option<Vec<u8>>, Answer> {
        match answer(&self.zone.load(), query, transport) {
            Answer::Reply(reply) => Ok(Some(reply)),
            Answer::Ignore => Ok(None),
            slow => Err(slow),
        }
    }

    async fn slowly(&self, slow: &Answer, query: &[u8], transport: Transport) -> Vec<u8> {
        let ask = match slow {
            Answer::Chase(chase) => &chase.query,
            _ => query,
        };
        let reply = match &self.forward {
            Some(forward) => forward.ask(ask, transport).await,
            None => None,
        };
        match (slow, reply) {
            (Answer::Chase(chase), reply) => {
                finish(&self.zone.load(), query, transport, chase, reply.as_deref())
            }
            (_, Some(reply)) => reply,
            (_, None) => failure(query, code::SERVER_FAILURE),
        }
    }
}

async fn run_udp(socket: Arc<UdpSocket>, resolver: Resolver) {
    let mut buffer = [0; 4096];
    loop {
        // An error of one client (it is gone, its port is closed) is none of the server.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let query = &buffer[..length];
        match resolver.at_once(query, Transport::Udp) {
            Ok(Some(reply)) => send(&socket, &reply, client).await,
            Ok(None) => {}
            Err(slow) => {
                let (socket, resolver, query) = (socket.clone(), resolver.clone(), query.to_vec());
                tokio::spawn(async move {
                    let reply = resolver.slowly(&slow, &query, Transport::Udp).await;
                    send(&socket, &reply, client).await;
                });
            }
        }
    }
}

/// A client that cannot be reached asks again.
async fn send(socket: &UdpSocket, reply: &[u8], client: SocketAddr) {
    let _ = socket.send_to(reply, client).await;
}

async fn run_tcp(listener: TcpListener, resolver: Resolver) {
    const AT_ONCE: usize = 128;
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let resolver = resolver.clone();
                tokio::spawn(async move {
                    let _ = converse(stream, resolver).await;
                    drop(slot);
                });
            }
            // Out of descriptors: wait for some to come back instead of spinning.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Answers the questions of one connection until the client is done or says nothing.
async fn converse(mut stream: TcpStream, resolver: Resolver) -> std::io::Result<()> {
    const IDLE: Duration = Duration::from_secs(10);
    loop {
        let length = timeout(IDLE, stream.read_u16()).await??;
        let mut query = vec![0; usize::from(length)];
        timeout(IDLE, stream.read_exact(&mut query)).await??;
        let reply = match resolver.at_once(&query, Transport::Tcp) {
            Ok(Some(reply)) => reply,
            Ok(None) => return Ok(()),
            Err(slow) => resolver.slowly(&slow, &query, Transport::Tcp).await,
        };
        let length = u16::try_from(reply.len()).unwrap_or(u16::MAX);
        stream.write_all(&[&length.to_be_bytes(), reply.as_slice()].concat()).await?;
    }
}
