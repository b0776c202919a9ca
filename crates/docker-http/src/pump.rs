//! Between a client's raw connection and a process's streams.

use bytes::Bytes;
use engine::{Pipe, Streams};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::detach::{Detector, Input};
use crate::mux::{StreamKind, frame};

const CHUNK: usize = 16 << 10;

/// Why the pumping ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The process closed its output.
    Output,
    /// The client pressed the detach keys.
    Detached,
    /// The client went away.
    Client,
}

/// How output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Raw,
    Multiplexed,
}

impl Framing {
    pub fn of(tty: bool) -> Self {
        if tty { Self::Raw } else { Self::Multiplexed }
    }

    pub fn wrap(self, kind: StreamKind, bytes: &[u8]) -> Bytes {
        match self {
            Self::Raw => Bytes::copy_from_slice(bytes),
            Self::Multiplexed => frame(kind, bytes),
        }
    }
}

/// Pumps both ways until the output ends, the client leaves or detaches. The end of the client's
/// input closes the process's, and the output goes on. `before_close` runs between the end of
/// the output and the end of the connection.
pub async fn both_ways<R, W>(
    client: (R, W),
    streams: Streams,
    framing: Framing,
    detach: Option<Vec<u8>>,
    before_close: impl Future<Output = ()>,
) -> Ended
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (read, mut write) = client;
    let Streams { stdin, stdout, stderr } = streams;
    let ended = {
        let output = outputs(&mut write, stdout, stderr, framing);
        let input = input(read, stdin, detach);
        tokio::pin!(output, input);
        tokio::select! {
            ended = &mut output => ended,
            detached = &mut input => match detached {
                true => Ended::Detached,
                false => output.await,
            },
        }
    };
    if ended == Ended::Output {
        before_close.await;
    }
    let _ = write.shutdown().await;
    ended
}

/// Swallows output that nobody wants, so that its writer neither blocks nor breaks.
pub async fn drain(streams: Streams) {
    let swallow = async |pipe: Option<Pipe>| {
        if let Some(mut pipe) = pipe {
            // An error is the end as well.
            let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
        }
    };
    tokio::join!(swallow(streams.stdout), swallow(streams.stderr));
}

/// True when the detach keys came; false at the end of the input.
async fn input<R>(mut read: R, stdin: Option<Pipe>, detach: Option<Vec<u8>>) -> bool
where
    R: AsyncRead + Unpin,
{
    let mut detector = detach.map(Detector::new);
    let Some(mut stdin) = stdin else { return std::future::pending().await };
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match read.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        let (bytes, left) = match &mut detector {
            None => (buffer[..count].to_vec(), false),
            Some(detector) => match detector.feed(&buffer[..count]) {
                Input::Pass(bytes) => (bytes, false),
                Input::Detach(bytes) => (bytes, true),
            },
        };
        // A process that closed its input may go on writing.
        let _ = stdin.write_all(&bytes).await;
        if left {
            return true;
        }
    }
    let _ = stdin.shutdown().await;
    false
}

async fn outputs<W>(
    write: &mut W,
    mut stdout: Option<Pipe>,
    mut stderr: Option<Pipe>,
    framing: Framing,
) -> Ended
where
    W: AsyncWrite + Unpin,
{
    let (mut out, mut err) = (vec![0; CHUNK], vec![0; CHUNK]);
    while stdout.is_some() || stderr.is_some() {
        let (kind, bytes) = tokio::select! {
            count = read(&mut stdout, &mut out), if stdout.is_some() => match count {
                0 => { stdout = None; continue }
                count => (StreamKind::Stdout, &out[..count]),
            },
            count = read(&mut stderr, &mut err), if stderr.is_some() => match count {
                0 => { stderr = None; continue }
                count => (StreamKind::Stderr, &err[..count]),
            },
        };
        if write.write_all(&framing.wrap(kind, bytes)).await.is_err() {
            return Ended::Client;
        }
        let _ = write.flush().await;
    }
    Ended::Output
}

async fn read(pipe: &mut Option<Pipe>, buffer: &mut [u8]) -> usize {
    match pipe {
        Some(pipe) => pipe.read(buffer).await.unwrap_or(0),
        None => 0,
    }
}
