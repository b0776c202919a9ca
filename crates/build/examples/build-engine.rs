//! The engine with a builder behind the Docker API, for tests and for trying out.
//!
//! `build-engine --data-dir DIR --host unix:///path/docker.sock [--name NAME]`; mirrors stand in
//! `DIR/registries.json`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use build::{Builder, BuilderConfig};
use docker_http::{Face, serve_unix};
use engine::{Engine, EngineConfig};
use image::{ImageStore, RegistriesConfig};
use runtime::{Keeper, KeeperOptions};
use tokio::signal::unix::{SignalKind, signal};

#[path = "../../boxship/src/builder/mod.rs"]
mod builder;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a == "keeper") {
        return runtime::keeper::main(args.into_iter().skip(1));
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let tokio = builder.worker_threads(2).enable_all().build().expect("tokio starts");
    match tokio.block_on(run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("build-engine: {e}");
            ExitCode::FAILURE
        }
    }
}

fn option(args: &[String], name: &str) -> Option<String> {
    args.get(args.iter().position(|a| a == name)? + 1).cloned()
}

async fn run(args: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let data_dir = PathBuf::from(option(args, "--data-dir").ok_or("--data-dir is missing")?);
    let host = option(args, "--host").ok_or("--host is missing")?;
    let socket = PathBuf::from(host.strip_prefix("unix://").ok_or("--host must be unix://PATH")?);
    let name = option(args, "--name").unwrap_or_else(|| "boxship".to_owned());
    std::fs::create_dir_all(&data_dir)?;
    let keeper = Keeper::open(&KeeperOptions {
        root: data_dir.join("keeper"),
        program: std::env::current_exe()?,
        args: vec!["keeper".to_owned()],
        favor_dynmods: true,
    })?;
    let registries = RegistriesConfig::read(&data_dir.join("registries.json"))?;
    let images = ImageStore::open(&data_dir.join("images"), registries)?;
    let build_dir = data_dir.join("build");
    let engine = Engine::open(EngineConfig { name, data_dir }, Arc::new(keeper), images).await?;
    let config = BuilderConfig { data_dir: build_dir, cache_limit: 10 << 30 };
    let builder = Builder::open(engine.clone(), config).await?;
    let _ = std::fs::remove_file(&socket);
    let listener = tokio::net::UnixListener::bind(&socket)?;
    println!("ready");
    let mut term = signal(SignalKind::terminate())?;
    let face = Face { engine, builder: Some(Arc::new(builder::DockerBuilder(builder))) };
    serve_unix(Arc::new(face), listener, async move {
        let _ = term.recv().await;
    })
    .await;
    let _ = std::fs::remove_file(&socket);
    Ok(())
}
