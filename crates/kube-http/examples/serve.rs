//! A control plane without controllers, for trying the face with real clients:
//!
//! ```text
//! cargo run -p kube-http --example serve -- --data-dir D --listen 127.0.0.1:0 --write-kubeconfig F
//! ```

#[path = "../tests/cluster/mod.rs"]
mod cluster;

use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Parser)]
struct Args {
    #[arg(long)]
    data_dir: PathBuf,
    #[arg(long, default_value = "127.0.0.1:6443")]
    listen: SocketAddr,
    #[arg(long)]
    write_kubeconfig: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (args, started) = (Args::parse(), Instant::now());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .thread_stack_size(1 << 20)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let cluster = cluster::Cluster::start(&args.data_dir, args.listen).await?;
        if let Some(path) = &args.write_kubeconfig {
            cluster.write_kubeconfig(path)?;
        }
        println!("listening on {}", cluster.address);
        println!("ready in {:.3} s", started.elapsed().as_secs_f64());
        tokio::signal::ctrl_c().await?;
        cluster.stop().await;
        Ok(())
    })
}
