//! A conversation with a container: terminal or pipes on one side, a hijacked connection on the other.

use crate::failure::Failure;
use crate::{out, term};
use remote::{Docker, Frame, Frames, Raw};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

/// How to talk.
#[derive(Clone, Copy)]
pub struct Manner {
    /// The container has a terminal: its output is one stream.
    pub tty: bool,
    /// What is typed here goes there.
    pub stdin: bool,
}

/// Talks until the container's side has nothing more to say.
///
/// # Errors
/// When the connection breaks.
pub async fn converse(raw: Raw, manner: Manner) -> Result<(), Failure> {
    let guard = (manner.tty && manner.stdin).then(term::Raw::enter);
    let (mut reader, mut writer) = tokio::io::split(raw);
    let typing = manner.stdin.then(|| {
        let mut typed = term::stdin();
        tokio::spawn(async move {
            while let Some(bytes) = typed.recv().await {
                if writer.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            // The container's input ends; its output goes on.
            let _ = writer.shutdown().await;
            std::future::pending::<()>().await;
        })
    });
    let done = match manner.tty {
        true => copy(&mut reader).await,
        false => unmix(&mut reader).await,
    };
    if let Some(typing) = typing {
        typing.abort();
    }
    drop(guard);
    done
}

async fn copy(reader: &mut (impl AsyncReadExt + Unpin)) -> Result<(), Failure> {
    let mut buffer = vec![0; 32 << 10];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(count) => out::write(&buffer[..count]),
            Err(e) => return Err(Failure::new("read the container's output", e)),
        }
    }
}

async fn unmix(reader: &mut (impl AsyncReadExt + Unpin)) -> Result<(), Failure> {
    let mut frames = Frames::default();
    loop {
        let frame = frames.read(reader).await;
        match frame.map_err(|e| Failure::docker("read the container's output", &e))? {
            None => return Ok(()),
            Some(Frame::Stdout(bytes)) => out::write(&bytes),
            Some(Frame::Stderr(bytes)) => out::write_err(&bytes),
        }
    }
}

/// Does something with the terminal's size, now and whenever it changes, until dropped.
pub struct Resizer(JoinHandle<()>);

impl Resizer {
    /// `path` is `/containers/ID/resize` or `/exec/ID/resize`.
    pub fn start(engine: &Docker, path: String) -> Self {
        let engine = engine.clone();
        Self(tokio::spawn(async move {
            let Ok(mut changed) = signal(SignalKind::window_change()) else { return };
            loop {
                if let Some((width, height)) = term::size() {
                    // The container may have ended.
                    let _ = engine.post(&format!("{path}?h={height}&w={width}"), None).await;
                }
                if changed.recv().await.is_none() {
                    return;
                }
            }
        }))
    }
}

impl Drop for Resizer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Hands signals on to a container, until dropped.
pub struct Signals(Vec<JoinHandle<()>>);

const HANDED_ON: &[(SignalKind, &str)] = &[
    (SignalKind::interrupt(), "INT"),
    (SignalKind::terminate(), "TERM"),
    (SignalKind::hangup(), "HUP"),
    (SignalKind::quit(), "QUIT"),
    (SignalKind::user_defined1(), "USR1"),
    (SignalKind::user_defined2(), "USR2"),
];

impl Signals {
    pub fn start(engine: &Docker, id: &str) -> Self {
        let one = |(kind, name): &(SignalKind, &'static str)| {
            let (kind, path) = (*kind, format!("/containers/{id}/kill?signal={name}"));
            let engine = engine.clone();
            tokio::spawn(async move {
                let Ok(mut came) = signal(kind) else { return };
                while came.recv().await.is_some() {
                    // It may have ended.
                    let _ = engine.post(&path, None).await;
                }
            })
        };
        Self(HANDED_ON.iter().map(one).collect())
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
