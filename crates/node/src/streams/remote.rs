//! exec and attach on their wires: channels over WebSocket, or streams over SPDY
//! (staging/src/k8s.io/kubelet/pkg/cri/streaming/remotecommand).

use super::Io;
use super::process::{In, Out, Wish};
use super::spdy::{self, StreamWriter};
use super::websocket::{self, BINARY, CLOSE, Message, PONG, Reader, TEXT};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use meta::Value;
use runtime::TtySize;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// WebSocket subprotocols by preference.
pub(crate) const WEBSOCKET: [&str; 5] = [
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
];

/// `X-Stream-Protocol-Version`s by preference.
pub(crate) const SPDY: [&str; 4] =
    ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// Only v5: the channel in the next byte ends.
const ENDS: u8 = 255;

/// A client's half of the conversation: what it says, what it is told, and the wire's own work.
pub(crate) struct Ends {
    pub from: mpsc::Receiver<In>,
    pub to: mpsc::Sender<Out>,
    pub work: tokio::task::JoinHandle<()>,
}

const BACKLOG: usize = 16;

/// Serves one client over WebSocket.
pub(crate) fn websocket(io: Io, protocol: &str, wish: &Wish) -> Ends {
    let (say, from) = mpsc::channel(BACKLOG);
    let (to, told) = mpsc::channel(BACKLOG);
    let coding = Coding {
        base64: protocol.contains("base64"),
        json_status: protocol.starts_with("v4") || protocol.starts_with("v5"),
    };
    let first = match wish {
        Wish { stdout: true, .. } => STDOUT,
        Wish { stderr: true, .. } => STDERR,
        _ => ERROR,
    };
    let (reader, writer) = tokio::io::split(io);
    let work = tokio::spawn(async move {
        let (pings, pinged) = mpsc::channel(4);
        let listening = hear(Reader::new(reader), coding, say, pings);
        let speaking = speak(writer, coding, first, told, pinged);
        tokio::select! {
            () = listening => {}
            // An error means the client is gone.
            _ = speaking => {}
        }
    });
    Ends { from, to, work }
}

#[derive(Clone, Copy)]
struct Coding {
    base64: bool,
    json_status: bool,
}

impl Coding {
    async fn send<W: AsyncWrite + Unpin>(
        self,
        io: &mut W,
        channel: u8,
        bytes: &[u8],
    ) -> std::io::Result<()> {
        if self.base64 {
            let text = STANDARD.encode(bytes);
            return websocket::send(io, TEXT, &[&[b'0' + channel], text.as_bytes()]).await;
        }
        websocket::send(io, BINARY, &[&[channel], bytes]).await
    }

    fn read(self, message: &Bytes) -> Option<(u8, Bytes)> {
        let channel = *message.first()?;
        if !self.base64 {
            return Some((channel, message.slice(1..)));
        }
        let bytes = STANDARD.decode(&message[1..]).ok()?;
        Some((channel.checked_sub(b'0')?, bytes.into()))
    }
}

/// Reads the client's messages until it goes.
async fn hear(
    mut reader: Reader<impl tokio::io::AsyncRead + Unpin>,
    coding: Coding,
    say: mpsc::Sender<In>,
    pings: mpsc::Sender<Bytes>,
) {
    while let Ok(Some(message)) = reader.next().await {
        let message = match message {
            Message::Data(message) => message,
            Message::Ping(bytes) => {
                let _ = pings.send(bytes).await;
                continue;
            }
        };
        let input = match coding.read(&message) {
            Some((STDIN, bytes)) if bytes.is_empty() => continue,
            Some((STDIN, bytes)) => In::Stdin(bytes),
            Some((ENDS, bytes)) if bytes.first() == Some(&STDIN) => In::StdinEnds,
            Some((RESIZE, bytes)) => match size(&bytes) {
                Some(size) => In::Size(size),
                None => continue,
            },
            _ => continue,
        };
        if say.send(input).await.is_err() {
            // The process takes no input any more; its output may still come.
            std::future::pending::<()>().await;
        }
    }
}

async fn speak<W: AsyncWrite + Unpin>(
    mut io: W,
    coding: Coding,
    first: u8,
    mut told: mpsc::Receiver<Out>,
    mut pinged: mpsc::Receiver<Bytes>,
) -> std::io::Result<()> {
    // Tells the client that the connection stands, as upstream does.
    coding.send(&mut io, first, b"").await?;
    loop {
        let out = tokio::select! {
            out = told.recv() => out,
            Some(bytes) = pinged.recv() => {
                websocket::send(&mut io, PONG, &[&bytes]).await?;
                continue;
            }
        };
        match out {
            Some(Out::Stdout(bytes)) => coding.send(&mut io, STDOUT, &bytes).await?,
            Some(Out::Stderr(bytes)) => coding.send(&mut io, STDERR, &bytes).await?,
            Some(Out::Status(status)) => {
                let text = status_text(&status, coding.json_status);
                if !text.is_empty() {
                    coding.send(&mut io, ERROR, text.as_bytes()).await?;
                }
            }
            None => break,
        }
    }
    websocket::send(&mut io, CLOSE, &[&1000_u16.to_be_bytes()]).await?;
    io.shutdown().await
}

/// Old protocols know errors as plain text, and success as nothing.
fn status_text(status: &Value, json: bool) -> String {
    if json {
        return status.to_string();
    }
    match status["status"].as_str() {
        Some("Success") => String::new(),
        _ => status["message"].as_str().unwrap_or_default().to_string(),
    }
}

fn size(bytes: &[u8]) -> Option<TtySize> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let number = |key: &str| u16::try_from(value[key].as_u64()?).ok();
    Some(TtySize { rows: number("Height")?, cols: number("Width")? })
}

// === SPDY ===

/// How long a client may take to open its streams: upstream's default.
const OPEN_WITHIN: Duration = Duration::from_secs(30);

/// Serves one client over SPDY; `None` when it does not open its streams in time.
pub(crate) async fn spdy(io: Io, protocol: &str, wish: &Wish) -> Option<Ends> {
    let (opened, mut streams) = mpsc::channel(8);
    let session = tokio::spawn(spdy::serve(io, opened));
    let resizable = wish.tty && !matches!(protocol, "channel.k8s.io" | "v2.channel.k8s.io");
    let wanted = 1
        + usize::from(wish.stdin)
        + usize::from(wish.stdout)
        + usize::from(wish.stderr && !wish.tty)
        + usize::from(resizable);
    let (say, from) = mpsc::channel(BACKLOG);
    let (to, told) = mpsc::channel(BACKLOG);
    let mut writers = Writers::default();
    for _ in 0..wanted {
        let stream = tokio::time::timeout(OPEN_WITHIN, streams.recv()).await.ok()??;
        match stream.headers.get("streamtype").map(String::as_str) {
            Some("error") => writers.error = Some(stream.writer),
            Some("stdout") => writers.stdout = Some(stream.writer),
            Some("stderr") => writers.stderr = Some(stream.writer),
            Some("stdin") => {
                writers.others.push(stream.writer);
                tokio::spawn(take_stdin(stream.data, say.clone()));
            }
            Some("resize") => {
                writers.others.push(stream.writer);
                tokio::spawn(take_sizes(stream.data, say.clone()));
            }
            _ => return None,
        }
    }
    let json = protocol == "v4.channel.k8s.io";
    let work = tokio::spawn(async move {
        let talk = writers.tell(told, json);
        tokio::pin!(talk);
        let mut session = session;
        tokio::select! {
            // An error means the client is gone.
            _ = &mut talk => {}
            _ = &mut session => return,
        }
        // What was said arrives before the connection ends.
        drop(streams);
        let _ = session.await;
    });
    Some(Ends { from, to, work })
}

async fn take_stdin(mut data: mpsc::Receiver<Bytes>, say: mpsc::Sender<In>) {
    while let Some(bytes) = data.recv().await {
        if say.send(In::Stdin(bytes)).await.is_err() {
            return;
        }
    }
    // The process may have ended.
    let _ = say.send(In::StdinEnds).await;
}

async fn take_sizes(mut data: mpsc::Receiver<Bytes>, say: mpsc::Sender<In>) {
    while let Some(bytes) = data.recv().await {
        if let Some(size) = size(&bytes)
            && say.send(In::Size(size)).await.is_err()
        {
            return;
        }
    }
}

#[derive(Default)]
struct Writers {
    error: Option<StreamWriter>,
    stdout: Option<StreamWriter>,
    stderr: Option<StreamWriter>,
    others: Vec<StreamWriter>,
}

impl Writers {
    async fn tell(self, mut told: mpsc::Receiver<Out>, json: bool) -> std::io::Result<()> {
        while let Some(out) = told.recv().await {
            let (writer, bytes) = match out {
                Out::Stdout(bytes) => (&self.stdout, bytes),
                Out::Stderr(bytes) => (&self.stderr, bytes),
                Out::Status(status) => (&self.error, status_text(&status, json).into()),
            };
            if let Some(writer) = writer
                && !bytes.is_empty()
            {
                writer.send(&bytes).await?;
            }
        }
        let outputs = [self.stdout, self.stderr, self.error];
        for writer in outputs.iter().flatten().chain(&self.others) {
            writer.finish().await?;
        }
        Ok(())
    }
}
