//! `boxship engine`: the container engine behind the Docker API, and `boxship keeper`, the process it leaves its
//! containers with.

use crate::builder::DockerBuilder;
use crate::command::Row;
use crate::failure::Failure;
use crate::listen::{self, Listeners};
use crate::server::{data_dir, data_dir_arg, runtime, stopped};
use ::engine::{Engine, EngineConfig};
use build::{Builder, BuilderConfig};
use clap::{Arg, ArgAction, ArgMatches, Command};
use docker_http::Face;
use image::{ImageStore, RegistriesConfig};
use runtime_crate::{Keeper, KeeperOptions};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

pub static ROW: Row = Row { command, run };
pub static KEEPER: Row = Row { command: keeper_command, run: run_keeper };

fn command() -> Command {
    Command::new("engine")
        .about("Run the container engine: the Docker API without Kubernetes")
        .after_help(
            "Examples:\n  boxship engine\n  boxship engine --host unix:///tmp/d.sock --data-dir /tmp/d   then   docker -H unix:///tmp/d.sock ps",
        )
        .args([data_dir_arg(), name_arg(), listen::host_arg("host")])
        .args(engine_args())
}

pub fn name_arg() -> Arg {
    Arg::new("name")
        .long("name")
        .value_name("NAME")
        .help("Marks every network, cgroup and table of this instance")
        .default_value("boxship")
}

/// What an engine is asked for besides its name and directory.
pub fn engine_args() -> [Arg; 5] {
    let dynmods = Arg::new("favor-dynmods")
        .long("favor-dynmods")
        .action(ArgAction::SetTrue)
        .help("cgroup v1: quicker starts, by a setting of the whole machine until its reboot");
    let registries = Arg::new("registries")
        .long("registries")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Mirrors, insecure registries and CAs [default: registries.json in the engine's data directory]");
    let [cert, key, ca] = listen::tls_args();
    [dynmods, registries, cert, key, ca]
}

fn run(args: &ArgMatches) -> Result<ExitCode, Failure> {
    let began = Instant::now();
    runtime()?.block_on(async {
        let Opened { engine, .. } = open(args, data_dir(args)).await?;
        let face = DockerFace::start(args, engine).await?;
        println!("ready in {:.3} s", began.elapsed().as_secs_f64());
        stopped().await?;
        face.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// An engine, and the process that holds its containers.
pub struct Opened {
    pub engine: Arc<Engine>,
    pub keeper: i32,
}

/// Opens the engine and connects to its keeper, starting that first if need be.
pub async fn open(args: &ArgMatches, data_dir: &Path) -> Result<Opened, Failure> {
    let name: &String = args.get_one("name").expect("it has a default");
    let what = || format!("open the engine in `{}`", data_dir.display());
    std::fs::create_dir_all(data_dir).map_err(|e| Failure::new(what(), e))?;
    let program = std::env::current_exe().map_err(|e| Failure::new(what(), e))?;
    let keeper = Keeper::open(&KeeperOptions {
        root: data_dir.join("keeper"),
        program,
        args: vec!["keeper".into()],
        favor_dynmods: args.get_flag("favor-dynmods"),
    })
    .map_err(|e| Failure::new(what(), e).hint("the engine needs root on Linux"))?;
    let pid = keeper.pid();
    let registries = args.get_one::<PathBuf>("registries").cloned();
    let registries = registries.unwrap_or_else(|| data_dir.join("registries.json"));
    let registries = RegistriesConfig::read(&registries).map_err(|e| Failure::new(what(), e))?;
    let images = ImageStore::open(&data_dir.join("images"), registries)
        .map_err(|e| Failure::new(what(), e))?;
    let config = EngineConfig { name: name.clone(), data_dir: data_dir.to_path_buf() };
    let engine = Engine::open(config, Arc::new(keeper), images).await;
    Ok(Opened { engine: engine.map_err(|e| Failure::new(what(), e))?, keeper: pid })
}

/// The Docker API where it answers.
pub struct DockerFace(Listeners);

impl DockerFace {
    pub async fn start(args: &ArgMatches, engine: Arc<Engine>) -> Result<Self, Failure> {
        let builder = Arc::new(DockerBuilder(open_builder(&engine).await?));
        let face = Arc::new(Face { engine, builder: Some(builder) });
        Ok(Self(Listeners::start(args, face).await?))
    }

    pub async fn stop(self) {
        self.0.stop().await;
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
