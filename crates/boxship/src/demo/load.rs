//! A load generator that counts: every request that does not get the right answer is a failure, nothing is tried again.
//!
//! Half of its workers keep their connections as long as the server lets them, half make a new one for each request.

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What is sent, and how often.
#[derive(Clone)]
pub struct Shot {
    pub to: SocketAddr,
    pub method: Method,
    pub path: &'static str,
    pub body: Bytes,
    /// A worker rests this long between two requests.
    pub pause: Duration,
}

/// What came of it.
#[derive(Default, Debug)]
pub struct Tally {
    pub good: u64,
    /// Connections made.
    pub connections: u64,
    /// How many requests failed, and why.
    pub failures: BTreeMap<String, u64>,
    /// What answers carried under `model`.
    pub models: BTreeMap<String, u64>,
    /// Sorted.
    pub latencies: Vec<Duration>,
}

impl Tally {
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// The latency that `part` of a thousand answers did not exceed.
    pub fn quantile(&self, part: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * part / 1000).copied().unwrap_or_default()
    }

    fn add(&mut self, other: Self) {
        self.good += other.good;
        self.connections += other.connections;
        for (mine, others) in
            [(&mut self.failures, other.failures), (&mut self.models, other.models)]
        {
            for (what, count) in others {
                *mine.entry(what).or_default() += count;
            }
        }
        self.latencies.extend(other.latencies);
        self.latencies.sort_unstable();
    }
}

/// Workers at work.
pub struct Load {
    stop: watch::Sender<()>,
    workers: Vec<JoinHandle<Tally>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Connections {
    Kept,
    New,
}

impl Load {
    /// Starts `pairs` workers of each sort.
    pub fn start(shot: &Shot, pairs: usize) -> Self {
        let (stop, stopped) = watch::channel(());
        let sorts = [Connections::Kept, Connections::New].into_iter().cycle().take(2 * pairs);
        let worker = |sort| tokio::spawn(work(shot.clone(), sort, stopped.clone()));
        Self { stop, workers: sorts.map(worker).collect() }
    }

    /// Lets what is under way finish, and counts.
    pub async fn stop(self) -> Tally {
        drop(self.stop);
        let mut tally = Tally::default();
        for worker in self.workers {
            match worker.await {
                Ok(own) => tally.add(own),
                Err(e) => *tally.failures.entry(format!("worker: {e}")).or_default() += 1,
            }
        }
        tally
    }
}

/// Longer than any pause a healthy Service makes.
const PATIENCE: Duration = Duration::from_secs(5);
const SILENCE: &str = "no answer within 5 s";

async fn work(shot: Shot, sort: Connections, stopped: watch::Receiver<()>) -> Tally {
    let mut tally = Tally::default();
    let mut open = None;
    while stopped.has_changed().is_ok() {
        let began = Instant::now();
        let asked = tokio::time::timeout(PATIENCE, ask(&shot, &mut open, &mut tally.connections));
        match asked.await.unwrap_or_else(|_| Err(SILENCE.into())) {
            Ok(said) => {
                let model = said["model"].as_str().unwrap_or_default().to_string();
                tally.good += 1;
                tally.latencies.push(began.elapsed());
                *tally.models.entry(model).or_default() += 1;
            }
            Err(why) => {
                open = None;
                *tally.failures.entry(why).or_default() += 1;
            }
        }
        if sort == Connections::New {
            open = None;
        }
        tokio::time::sleep(shot.pause).await;
    }
    tally
}

/// One request over a connection of its own: what was answered.
pub async fn ask_once(shot: &Shot) -> Result<Value, String> {
    let (mut open, mut made) = (None, 0);
    let asked = tokio::time::timeout(PATIENCE, ask(shot, &mut open, &mut made));
    asked.await.unwrap_or_else(|_| Err(SILENCE.into()))
}

type Sender = SendRequest<Full<Bytes>>;

/// One request. The connection stays in `open` when the server keeps it.
async fn ask(shot: &Shot, open: &mut Option<Sender>, made: &mut u64) -> Result<Value, String> {
    let mut sender = match open.take() {
        Some(sender) => sender,
        None => {
            *made += 1;
            connect(shot.to).await?
        }
    };
    let request = Request::builder()
        .method(&shot.method)
        .uri(shot.path)
        .header(header::HOST, shot.to.to_string())
        .body(Full::new(shot.body.clone()))
        .map_err(|e| e.to_string())?;
    let answer = sender.send_request(request).await.map_err(|e| cause("request", &e))?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|e| cause("answer", &e))?.to_bytes();
    if head.status != http::StatusCode::OK {
        return Err(format!("answered {}", head.status));
    }
    let closes = head.headers.get(header::CONNECTION).is_some_and(|c| c == "close");
    if !closes {
        *open = Some(sender);
    }
    serde_json::from_slice(&body).map_err(|e| format!("answer: {e}"))
}

async fn connect(to: SocketAddr) -> Result<Sender, String> {
    let stream = TcpStream::connect(to).await.map_err(|e| format!("connect: {e}"))?;
    // Small requests go out at once; a socket that refuses is slower, not wrong.
    let _ = stream.set_nodelay(true);
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|e| cause("connect", &e))?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The innermost cause says what happened.
fn cause(doing: &str, error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("{doing}: {innermost}")
}
