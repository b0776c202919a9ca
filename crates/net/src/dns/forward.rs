//! The way to the host's resolvers.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use netplan::dns::Transport;
use netplan::dns::wire::HEADER;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::cache::Cache;

/// Where upstream servers are named.
#[derive(Debug, Clone)]
pub enum Upstreams {
    /// Always these.
    Fixed(Vec<SocketAddr>),
    /// The `nameserver` lines of a file (`/etc/resolv.conf`), read again when it has changed: a
    /// laptop changes networks.
    File(PathBuf),
}

/// Asks upstream servers and remembers what they said. Shared by all servers of a daemon; asks
/// from the namespace of the daemon's runtime.
#[derive(Debug)]
pub struct Forwarder {
    upstreams: Upstreams,
    read: Mutex<(Option<SystemTime>, Vec<SocketAddr>)>,
    cache: Mutex<Cache>,
    /// Bounds the sockets that unanswered questions hold.
    slots: Semaphore,
}

const AT_ONCE: usize = 512;
/// How long one server is waited for: the first time round, then the second.
const PATIENCE: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(3)];

impl Forwarder {
    pub fn new(upstreams: Upstreams) -> Forwarder {
        Forwarder {
            upstreams,
            read: Mutex::default(),
            cache: Mutex::default(),
            slots: Semaphore::new(AT_ONCE),
        }
    }

    /// The answer to a query, from memory or from the first upstream server that gives one;
    /// `None` when none does.
    pub async fn ask(&self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let kept = self.cache.lock().ok().and_then(|cache| cache.get(query, Instant::now()));
        if kept.is_some() {
            return kept;
        }
        let _slot = self.slots.try_acquire().ok()?;
        let servers = self.servers();
        for patience in PATIENCE {
            for server in &servers {
                let asked = timeout(patience, exchange(*server, query, transport)).await;
                let Ok(Ok(reply)) = asked else { continue };
                if let Ok(mut cache) = self.cache.lock() {
                    cache.put(query, &reply, Instant::now());
                }
                return Some(reply);
            }
        }
        None
    }

    fn servers(&self) -> Vec<SocketAddr> {
        let path = match &self.upstreams {
            Upstreams::Fixed(list) => return list.clone(),
            Upstreams::File(path) => path,
        };
        let changed = fs::metadata(path).and_then(|m| m.modified()).ok();
        let Ok(mut read) = self.read.lock() else { return Vec::new() };
        if read.0 != changed || changed.is_none() {
            let text = fs::read_to_string(path).unwrap_or_default();
            *read = (changed, resolvers(&text));
        }
        read.1.clone()
    }
}

/// The servers that a `resolv.conf` names; this host when it names none (`resolv.conf(5)`).
pub fn resolvers(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let (word, rest) = line.trim().split_once(char::is_whitespace)?;
        let addr = rest.split_whitespace().next()?;
        let addr = addr.split_once('%').map_or(addr, |(addr, _)| addr);
        (word == "nameserver").then(|| addr.parse::<IpAddr>().ok()).flatten()
    };
    let mut list: Vec<SocketAddr> =
        text.lines().filter_map(address).map(|ip| SocketAddr::new(ip, 53)).collect();
    if list.is_empty() {
        list.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
    }
    list
}

/// Asks one server. A cut answer is asked for again over TCP when the client uses TCP.
async fn exchange(server: SocketAddr, query: &[u8], transport: Transport) -> io::Result<Vec<u8>> {
    let mut ask = query.to_vec();
    let id = random_id()?;
    ask.get_mut(..2).ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(&id);
    let mut reply = over_udp(server, &ask).await?;
    let cut = reply[2] & 0x02 != 0;
    if cut && transport == Transport::Tcp {
        reply = over_tcp(server, &ask).await?;
    }
    reply[..2].copy_from_slice(&query[..2]);
    Ok(reply)
}

fn random_id() -> io::Result<[u8; 2]> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(id)
}

/// A port of its own for each question: a forger must guess it besides the id.
async fn over_udp(server: SocketAddr, ask: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(ask).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if answers(ask, &buffer[..length]) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn over_tcp(server: SocketAddr, ask: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(ask.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), ask].concat()).await?;
    let mut reply = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut reply).await?;
    if answers(ask, &reply) { Ok(reply) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Whether a message is the response to a question: same id, same question.
fn answers(ask: &[u8], reply: &[u8]) -> bool {
    let end = question_end(ask);
    reply.len() >= end
        && reply[..2] == ask[..2]
        && reply[2] & 0x80 != 0
        && reply[HEADER..end].eq_ignore_ascii_case(&ask[HEADER..end])
}

fn question_end(ask: &[u8]) -> usize {
    let question = netplan::dns::wire::Query::parse(ask).map_or(0, |q| q.question.len());
    HEADER + question
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf() {
        let text = "# nameserver 1.1.1.1\nsearch x\nnameserver 9.9.9.9 # fast\n nameserver fe80::1%eth0\nnameserver x\nnameservers 8.8.8.8";
        let wanted: Vec<SocketAddr> =
            ["9.9.9.9:53", "[fe80::1]:53"].iter().map(|s| s.parse().unwrap()).collect();
        assert_eq!(resolvers(text), wanted);
        assert_eq!(resolvers(""), ["127.0.0.1:53".parse().unwrap()]);
    }
}
