//! exec and attach: numbered channels in WebSocket messages (client-go `tools/remotecommand/websocket.go`).

use crate::websocket::{Message, Receiver, Sender};
use crate::{Error, Kube, Raw, WebSocket};
use bytes::Bytes;
use meta::Value;
use serde_json::json;
use tokio::io::{ReadHalf, WriteHalf};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const ENDS: u8 = 255;

const PROTOCOLS: &[&str] = &["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// What a command in a pod says.
#[derive(Debug)]
pub enum Told {
    Stdout(Bytes),
    Stderr(Bytes),
    /// It ended: `Status`, with its exit code in `details.causes`.
    Done(Value),
}

impl Told {
    /// The exit code in a final status: 0 on success, nothing when the command did not run.
    pub fn exit_code(status: &Value) -> Option<i32> {
        if status["status"] == "Success" {
            return Some(0);
        }
        let causes = status["details"]["causes"].as_array()?;
        let cause = causes.iter().find(|cause| cause["reason"] == "ExitCode")?;
        cause["message"].as_str()?.parse().ok()
    }
}

/// A command under way.
pub struct Channels {
    sender: Sender<WriteHalf<Raw>>,
    receiver: Receiver<ReadHalf<Raw>>,
    can_end_stdin: bool,
}

impl Channels {
    /// Opens `.../exec?...` or `.../attach?...`.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn open(kube: &Kube, path: &str) -> Result<Self, Error> {
        let WebSocket { protocol, sender, receiver } =
            WebSocket::open(kube, path, PROTOCOLS).await?;
        Ok(Self { sender, receiver, can_end_stdin: protocol.starts_with("v5") })
    }

    pub fn split(self) -> (Input, Output) {
        (
            Input { sender: self.sender, can_end_stdin: self.can_end_stdin },
            Output { receiver: self.receiver },
        )
    }
}

/// What goes to the command.
pub struct Input {
    sender: Sender<WriteHalf<Raw>>,
    can_end_stdin: bool,
}

impl Input {
    /// # Errors
    /// When the connection breaks.
    pub async fn stdin(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.send(&[&[STDIN], bytes]).await
    }

    /// Ends the command's input; only the newest protocol can say so, with others the connection must end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn end(&mut self) -> Result<(), Error> {
        if self.can_end_stdin {
            return self.send(&[&[ENDS, STDIN]]).await;
        }
        self.sender.close().await.map_err(lost)
    }

    /// # Errors
    /// When the connection breaks.
    pub async fn resize(&mut self, width: u16, height: u16) -> Result<(), Error> {
        let size = json!({ "Width": width, "Height": height }).to_string();
        self.send(&[&[RESIZE], size.as_bytes()]).await
    }

    /// # Errors
    /// When the connection breaks.
    pub async fn pong(&mut self, content: &[u8]) -> Result<(), Error> {
        self.sender.pong(content).await.map_err(lost)
    }

    async fn send(&mut self, parts: &[&[u8]]) -> Result<(), Error> {
        self.sender.send(parts).await.map_err(lost)
    }
}

/// What comes from the command.
pub struct Output {
    receiver: Receiver<ReadHalf<Raw>>,
}

impl Output {
    /// The next word; `None` when the connection ended without a status. Safe to drop while waiting.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Told>, Error> {
        loop {
            let Some(message) = self.receiver.next().await.map_err(lost)? else { return Ok(None) };
            let Message::Data(mut data) = message else { continue };
            if data.is_empty() {
                continue;
            }
            let channel = data.split_to(1)[0];
            if data.is_empty() && channel != ERROR {
                continue;
            }
            match channel {
                STDOUT => return Ok(Some(Told::Stdout(data))),
                STDERR => return Ok(Some(Told::Stderr(data))),
                ERROR => {
                    let status = serde_json::from_slice(&data)
                        .unwrap_or_else(|_| json!({ "message": String::from_utf8_lossy(&data) }));
                    return Ok(Some(Told::Done(status)));
                }
                _ => {}
            }
        }
    }
}

fn lost(error: std::io::Error) -> Error {
    Error::broken("the connection to the container", error)
}
