//! `boxship engine`: the container engine behind the Docker API, and `boxship keeper`, the process it leaves its
//! containers with.

use crate::builder::DockerBuilder;
use crate::command::Row;
use crate::failure::Failure;
use crate::server::{data_dir, data_dir_arg, runtime, stopped};
use ::engine::{Engine, EngineConfig};
use build::{Builder, BuilderConfig};
use clap::{Arg, ArgAction, ArgMatches, Command};
use docker_http::{Face, serve_unix};
use image::{ImageStore, RegistriesConfig};
use runtime_crate::{Keeper, KeeperOptions};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub static ROW: Row = Row { command, run };
pub static KEEPER: Row = Row { command: keeper_command, run: run_keeper };

fn command() -> Command {
    Command::new("engine")
        .about("Run the container engine: the Docker API without Kubernetes")
        .after_help(
            "Examples:\n  boxship engine\n  boxship engine --host unix:///tmp/d.sock --data-dir /tmp/d   then   docker -H unix:///tmp/d.sock ps",
        )
        .args([data_dir_arg(), name_arg(), host_arg("host")])
}

pub fn name_arg() -> Arg {
    Arg::new("name")
        .long("name")
        .value_name("NAME")
        .help("Marks every network, cgroup and table of this instance")
        .default_value("boxship")
}

/// The Docker API's address under either of its option names.
pub fn host_arg(name: &'static str) -> Arg {
    Arg::new("host")
        .long(name)
        .value_name("unix://PATH")
        .help("Where the Docker API answers")
        .default_value("unix:///run/boxship/docker.sock")
}

fn run(args: &ArgMatches) -> Result<ExitCode, Failure> {
    let began = Instant::now();
    runtime()?.block_on(async {
        let engine = open(args, data_dir(args)).await?;
        let face = DockerFace::start(args, engine).await?;
        println!("ready in {:.3} s", began.elapsed().as_secs_f64());
        stopped().await?;
        face.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Opens the engine and connects to its keeper, starting that first if need be.
pub async fn open(args: &ArgMatches, data_dir: &Path) -> Result<Arc<Engine>, Failure> {
    let name: &String = args.get_one("name").expect("it has a default");
    let what = || format!("open the engine in `{}`", data_dir.display());
    std::fs::create_dir_all(data_dir).map_err(|e| Failure::new(what(), e))?;
    let program = std::env::current_exe().map_err(|e| Failure::new(what(), e))?;
    let keeper = Keeper::open(&KeeperOptions {
        root: data_dir.join("keeper"),
        program,
        args: vec!["keeper".into()],
        favor_dynmods: true,
    })
    .map_err(|e| Failure::new(what(), e).hint("the engine needs root on Linux"))?;
    let images = ImageStore::open(&data_dir.join("images"), RegistriesConfig::default())
        .map_err(|e| Failure::new(what(), e))?;
    let config = EngineConfig { name: name.clone(), data_dir: data_dir.to_path_buf() };
    Engine::open(config, Arc::new(keeper), images).await.map_err(|e| Failure::new(what(), e))
}

/// The Docker API on its socket.
pub struct DockerFace {
    socket: PathBuf,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl DockerFace {
    pub async fn start(args: &ArgMatches, engine: Arc<Engine>) -> Result<Self, Failure> {
        let host: &String = args.get_one("host").expect("it has a default");
        let what = || format!("listen on `{host}`");
        let socket = host
            .strip_prefix("unix://")
            .map(PathBuf::from)
            .ok_or_else(|| Failure::new(what(), "only unix:// addresses are supported yet"))?;
        if let Some(parent) = socket.parent() {
            std::fs::create_dir_all(parent).map_err(|e| Failure::new(what(), e))?;
        }
        refuse_if_served(&socket, &what)?;
        let listener = UnixListener::bind(&socket).map_err(|e| Failure::new(what(), e))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let builder = Arc::new(DockerBuilder(open_builder(&engine).await?));
        let face = Arc::new(Face { engine, builder: Some(builder) });
        let task = tokio::spawn(serve_unix(face, listener, async move { drop(stopped.await) }));
        Ok(Self { socket, stop, task })
    }

    pub async fn stop(self) {
        // The face may have ended by itself already.
        let _ = self.stop.send(());
        let _ = self.task.await;
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Cached layers of builds may take this much together.
const BUILD_CACHE_BYTES: u64 = 20 << 30;

async fn open_builder(engine: &Arc<Engine>) -> Result<Arc<Builder>, Failure> {
    let config = BuilderConfig {
        data_dir: engine.config.data_dir.join("build"),
        cache_limit: BUILD_CACHE_BYTES,
    };
    Builder::open(engine.clone(), config).await.map_err(|e| Failure::new("open the builder", e))
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

fn keeper_command() -> Command {
    Command::new("keeper")
        .about("Hold containers while daemons come and go (started by the engine itself)")
        .hide(true)
        .disable_help_flag(true)
        .arg(
            Arg::new("args")
                .num_args(0..)
                .action(ArgAction::Append)
                .allow_hyphen_values(true)
                .trailing_var_arg(true),
        )
}

fn run_keeper(args: &ArgMatches) -> Result<ExitCode, Failure> {
    let args = args.get_many::<String>("args").into_iter().flatten().cloned();
    Ok(runtime_crate::keeper::main(args))
}
