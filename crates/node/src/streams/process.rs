//! A process with a client: bytes, sizes of the terminal and the end, in both directions, whatever the wire.

use crate::ops::Hands;
use bytes::Bytes;
use engine::{ExecConfig, Pipe, Streams};
use meta::{Problem, Value};
use runtime::{AttachSpec, TtySize};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// From the client.
pub(crate) enum In {
    Stdin(Bytes),
    StdinEnds,
    Size(TtySize),
}

/// To the client.
pub(crate) enum Out {
    Stdout(Bytes),
    Stderr(Bytes),
    /// The last word: a `Status` object.
    Status(Value),
}

/// What is asked for (`PodExecOptions`, `PodAttachOptions`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Empty: attach.
    pub command: Vec<String>,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// A process on the engine.
struct Process {
    streams: Streams,
    target: Target,
}

#[derive(Clone)]
enum Target {
    Exec { id: String, command: Vec<String> },
    Attach { container: String },
}

/// Runs or attaches to a process of `container`, and serves the client until either is done.
pub(crate) async fn serve(
    hands: &Hands,
    container: &str,
    wish: &Wish,
    from: mpsc::Receiver<In>,
    to: mpsc::Sender<Out>,
) {
    let opened = match wish.command.as_slice() {
        [] => attach(hands, container, wish).await,
        _ => exec(hands, container, wish).await,
    };
    let status = match opened {
        Ok(process) => converse(hands, process, from, &to).await,
        Err(problem) => problem.to_status(),
    };
    // The client may be gone.
    let _ = to.send(Out::Status(status)).await;
}

async fn exec(hands: &Hands, container: &str, wish: &Wish) -> Result<Process, Problem> {
    let failed = |e| Problem::internal(format!("error executing command in container: {e}"));
    let config = ExecConfig {
        cmd: wish.command.clone(),
        tty: wish.tty,
        attach_stdin: wish.stdin,
        attach_stdout: wish.stdout,
        attach_stderr: wish.stderr && !wish.tty,
        ..ExecConfig::default()
    };
    let id = hands.engine.exec_create(container, config).map_err(failed)?;
    let streams = hands.engine.exec_start(&id, None).await.map_err(failed)?;
    Ok(Process { streams, target: Target::Exec { id, command: wish.command.clone() } })
}

async fn attach(hands: &Hands, container: &str, wish: &Wish) -> Result<Process, Problem> {
    let failed =
        |e: &dyn std::fmt::Display| Problem::internal(format!("error attaching to container: {e}"));
    let spec = AttachSpec { stdin: wish.stdin, stdout: wish.stdout, stderr: wish.stderr };
    let attached = hands.engine.attach(container, spec).await.map_err(|e| failed(&e))?;
    let streams = attached.streams().await.ok_or_else(|| failed(&"the container has ended"))?;
    Ok(Process { streams, target: Target::Attach { container: container.into() } })
}

async fn converse(
    hands: &Hands,
    process: Process,
    from: mpsc::Receiver<In>,
    to: &mpsc::Sender<Out>,
) -> Value {
    let Process { streams, target } = process;
    let input = tokio::spawn(listen(hands.clone(), target.clone(), streams.stdin, from));
    let talk = async {
        tokio::join!(tell(streams.stdout, to, Out::Stdout), tell(streams.stderr, to, Out::Stderr),);
        end(hands, &target).await
    };
    let status = tokio::select! {
        status = talk => status,
        () = to.closed() => Value::Null,
    };
    input.abort();
    status
}

/// Copies one output of the process until its end.
async fn tell(pipe: Option<Pipe>, to: &mpsc::Sender<Out>, wrap: fn(Bytes) -> Out) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; 32 << 10];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        if to.send(wrap(Bytes::copy_from_slice(&buffer[..count]))).await.is_err() {
            return;
        }
    }
}

/// Hands the client's input on until it ends; then the process sees its end.
async fn listen(hands: Hands, target: Target, stdin: Option<Pipe>, mut from: mpsc::Receiver<In>) {
    let mut stdin = stdin;
    while let Some(input) = from.recv().await {
        match input {
            In::Stdin(bytes) => {
                let Some(pipe) = &mut stdin else { continue };
                if pipe.write_all(&bytes).await.is_err() {
                    stdin = None;
                }
            }
            In::StdinEnds => {
                if let Some(mut pipe) = stdin.take() {
                    let _ = pipe.shutdown().await;
                }
            }
            In::Size(size) => resize(&hands, &target, size).await,
        }
    }
}

async fn resize(hands: &Hands, target: &Target, size: TtySize) {
    let done = match target {
        Target::Exec { id, .. } => hands.engine.exec_resize(id, size).await,
        Target::Attach { container } => hands.engine.resize(container, size.rows, size.cols).await,
    };
    if let Err(error) = done {
        tracing::debug!(%error, "terminal not resized");
    }
}

/// How the process ended, in the words that clients read the exit code from
/// (staging/src/k8s.io/kubelet/pkg/cri/streaming/remotecommand/exec.go).
async fn end(hands: &Hands, target: &Target) -> Value {
    let Target::Exec { id, command } = target else { return success() };
    match hands.engine.exec_wait(id).await {
        Ok(0) => success(),
        Ok(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!(
                "command terminated with non-zero exit code: error executing command [{}], exit code {code}",
                command.join(" "),
            ),
            "reason": "NonZeroExitCode",
            "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
        }),
        Err(error) => Problem::internal(error).to_status(),
    }
}

fn success() -> Value {
    json!({ "metadata": {}, "status": "Success" })
}
