//! The engine behind the Docker API, for tests and for trying out.
//!
//! `engine --data-dir DIR --host unix:///path/docker.sock [--name NAME]`; as `engine keeper ...`
//! it is the keeper, which it starts from its own executable; as `engine registry --data-dir DIR`
//! a registry on a free loopback port, with `--auth basic|token` for the account `ann`, `secret`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use docker_http::{Face, TlsFiles, serve_tls, serve_unix};
use engine::{Engine, EngineConfig};
use image::{ImageStore, RegistriesConfig};
use registry_http::{Access, Account, Accounts, Options};
use runtime::{Keeper, KeeperOptions};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a == "keeper") {
        return runtime::keeper::main(args.into_iter().skip(1));
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let tokio = builder.worker_threads(2).enable_all().build().expect("tokio starts");
    if args.first().is_some_and(|a| a == "reset") {
        return reset(&args);
    }
    let registry = args.first().is_some_and(|a| a == "registry");
    let done =
        tokio.block_on(async { if registry { serve(&args).await } else { run(&args).await } });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("engine: {e}");
            ExitCode::FAILURE
        }
    }
}

/// `engine reset --data-dir DIR --name NAME`: ends the keeper, takes away links and tables.
fn reset(args: &[String]) -> ExitCode {
    let data_dir = PathBuf::from(option(args, "--data-dir").unwrap_or_default());
    if let Ok(keeper) = Keeper::connect(&data_dir.join("keeper")) {
        let _ = runtime::stop(&keeper);
    }
    let instance = net::Instance::new(&option(args, "--name").unwrap_or_default());
    let gone = instance.retain(|_| false).is_ok() && net::remove_tables(&instance).is_ok();
    if gone { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn option(args: &[String], name: &str) -> Option<String> {
    let at = args.iter().position(|a| a == name)?;
    args.get(at + 1).cloned()
}

async fn serve(args: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let data_dir = PathBuf::from(option(args, "--data-dir").ok_or("--data-dir is missing")?);
    let store = ImageStore::open(&data_dir, RegistriesConfig::default())?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("ready on {}", listener.local_addr()?);
    let ann = ("ann".to_owned(), "secret".to_owned(), Account::Writer);
    let access = match option(args, "--auth").as_deref() {
        Some("basic") => Access::Basic(Accounts::new(vec![ann])),
        Some("token") => Access::token(Accounts::new(vec![ann]))?,
        _ => Access::Open,
    };
    registry_http::serve(listener, store, Options { access }).await;
    Ok(())
}

/// With `--tlscert`, `--tlskey` and `--tlscacert` also on a free loopback port.
async fn tls(args: &[String], face: Arc<Face>) -> Result<String, Box<dyn std::error::Error>> {
    let path = |name: &str| option(args, name).map(PathBuf::from);
    let (Some(cert), Some(key)) = (path("--tlscert"), path("--tlskey")) else {
        return Ok(String::new());
    };
    let files = TlsFiles { cert, key, client_ca: path("--tlscacert") };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve_tls(face, listener, files.load()?, std::future::pending()));
    Ok(format!(", TLS on {address}"))
}

async fn run(args: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let began = std::time::Instant::now();
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
    let images = ImageStore::open(&data_dir.join("images"), RegistriesConfig::default())?;
    let config = EngineConfig { name, data_dir };
    let engine = Engine::open(config, Arc::new(keeper), images).await?;
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket)?;
    let face = Arc::new(Face { engine, builder: None });
    let tls = tls(args, face.clone()).await?;
    println!("ready in {:.3} s{tls}", began.elapsed().as_secs_f64());
    let mut term = signal(SignalKind::terminate())?;
    serve_unix(face, listener, async move {
        term.recv().await;
    })
    .await;
    let _ = std::fs::remove_file(&socket);
    Ok(())
}
