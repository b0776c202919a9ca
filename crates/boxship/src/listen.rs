//! Where the Docker API answers: a unix socket, and TCP beside it.

use crate::failure::Failure;
use clap::{Arg, ArgAction, ArgMatches};
use docker_http::{Face, TlsFiles, serve_tcp, serve_tls, serve_unix};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

/// The Docker API's addresses under either of their option names.
pub fn host_arg(name: &'static str) -> Arg {
    Arg::new("host")
        .long(name)
        .value_name("unix://PATH|tcp://IP:PORT")
        .help("Where the Docker API answers; first a unix:// address, then others if wanted")
        .action(ArgAction::Append)
        .default_value("unix:///run/boxship/docker.sock")
}

/// docker's names for the files that a tcp:// address needs.
pub fn tls_args() -> [Arg; 3] {
    let file = |name: &'static str, help: &'static str| {
        let path = clap::value_parser!(PathBuf);
        Arg::new(name).long(name).value_name("FILE").help(help).value_parser(path)
    };
    [
        file("tlscert", "Certificate (PEM) of the Docker API on TCP").requires("tlskey"),
        file("tlskey", "Its key (PEM)").requires("tlscert"),
        file("tlscacert", "Only clients with a certificate of this CA come in").requires("tlscert"),
    ]
}

/// Everything that listens; ends when dropped.
pub struct Listeners {
    socket: PathBuf,
    tasks: JoinSet<()>,
}

impl Listeners {
    /// Binds every address before the first request is served.
    pub async fn start(args: &ArgMatches, face: Arc<Face>) -> Result<Self, Failure> {
        let hosts = args.get_many::<String>("host").into_iter().flatten();
        let (mut socket, mut tasks) = (None, JoinSet::new());
        for host in hosts {
            let what = || format!("listen on `{host}`");
            match (host.strip_prefix("unix://"), host.strip_prefix("tcp://")) {
                (Some(path), _) if socket.is_none() => {
                    let listener = bind(Path::new(path), &what)?;
                    tasks.spawn(serve_unix(face.clone(), listener, std::future::pending()));
                    socket = Some(PathBuf::from(path));
                }
                (_, Some(address)) => tcp(args, face.clone(), &mut tasks, (address, &what)).await?,
                _ => {
                    let why = "one unix:// address and any number of tcp:// ones can be served";
                    return Err(Failure::new(what(), why));
                }
            }
        }
        let missing = || Failure::new("serve the Docker API", "a unix:// address is needed");
        Ok(Self { socket: socket.ok_or_else(missing)?, tasks })
    }

    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn bind(socket: &Path, what: &dyn Fn() -> String) -> Result<UnixListener, Failure> {
    if let Some(parent) = socket.parent() {
        std::fs::create_dir_all(parent).map_err(|e| Failure::new(what(), e))?;
    }
    refuse_if_served(socket, what)?;
    UnixListener::bind(socket).map_err(|e| Failure::new(what(), e))
}

/// Whoever reaches the address is root on this machine: without TLS only from the machine itself.
async fn tcp(
    args: &ArgMatches,
    face: Arc<Face>,
    tasks: &mut JoinSet<()>,
    (address, what): (&str, &dyn Fn() -> String),
) -> Result<(), Failure> {
    let address: SocketAddr = address.parse().map_err(|e| Failure::new(what(), e))?;
    let file = |name: &str| args.get_one::<PathBuf>(name).cloned();
    let files = match (file("tlscert"), file("tlskey")) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert, key, client_ca: file("tlscacert") }),
        _ => None,
    };
    if files.is_none() && !address.ip().is_loopback() {
        let hint = "give --tlscert, --tlskey and --tlscacert";
        return Err(Failure::new(what(), "everybody there could do everything").hint(hint));
    }
    let config = files.map(|files| files.load()).transpose();
    let config = config.map_err(|e| Failure::new(what(), e))?;
    let listener = TcpListener::bind(address).await.map_err(|e| Failure::new(what(), e))?;
    match config {
        Some(config) => {
            drop(tasks.spawn(serve_tls(face, listener, config, std::future::pending())))
        }
        None => drop(tasks.spawn(serve_tcp(face, listener, std::future::pending()))),
    }
    Ok(())
}

/// A socket somebody answers on is not taken away; one left behind is.
fn refuse_if_served(socket: &Path, what: &dyn Fn() -> String) -> Result<(), Failure> {
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        let hint = "another engine runs there; choose another address";
        return Err(Failure::new(what(), "somebody answers on it already").hint(hint));
    }
    match std::fs::remove_file(socket) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::new(what(), e)),
        _ => Ok(()),
    }
}
