//! Loads a server and tells what it saw, one JSON line on standard output. `cargo xtask bench api` runs it.
//!
//! ```text
//! load creates --kubeconfig F --clients 16 --seconds 5 --bytes 1000
//! load puts    --etcd IP:PORT --clients 16 --seconds 5 --bytes 1000
//! load fill    --kubeconfig F --pods 10000
//! load list    --kubeconfig F --path /api/v1/pods --accept json|protobuf --limit 0|500 --rounds 10
//! load copy    --bytes 30000000 --rounds 10
//! load watch   --kubeconfig F --watchers 1000 --seconds 5 --rate 0|100
//! load first   --kubeconfig F
//! load replay  --kubeconfig F --file F --clients 32
//! load drained --kubeconfig F --path P --seconds 60
//! ```
//!
//! One thread and the least work a client can do, so that the server is what is measured.

mod connection;
mod copy;
mod grpc;
mod objects;
mod reads;
mod replay;
mod watches;
mod writes;

use serde_json::Value;
use std::error::Error;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// `--name value` pairs.
struct Args(Vec<String>);

impl Args {
    fn text(&self, name: &str) -> Result<&str> {
        let at = self.0.iter().position(|arg| arg.strip_prefix("--") == Some(name));
        let value = at.and_then(|at| self.0.get(at + 1));
        value.map(String::as_str).ok_or_else(|| format!("--{name} is missing").into())
    }

    fn number(&self, name: &str) -> Result<usize> {
        Ok(self.text(name)?.parse()?)
    }

    fn span(&self) -> Result<Duration> {
        Ok(Duration::from_secs_f64(self.text("seconds")?.parse()?))
    }
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let args = Args(args.collect());
    // Watchers are many files; more than the hard limit is not to be had.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let told: Value = runtime.block_on(tokio::task::LocalSet::new().run_until(async {
        match what.as_str() {
            "creates" => writes::creates(&args).await,
            "fill" => writes::fill(&args).await,
            "puts" => grpc::puts(&args).await,
            "list" => reads::list(&args).await,
            "replay" => replay::replay(&args).await,
            "drained" => replay::drained(&args).await,
            "first" => reads::first(&args).await,
            "copy" => copy::copy(&args).await,
            "watch" => watches::watch(&args).await,
            other => Err(format!("no such load: {other:?}").into()),
        }
    }))?;
    println!("{told}");
    Ok(())
}

/// Microseconds at the percentiles of a report.
fn percentiles(mut took: Vec<Duration>) -> Value {
    took.sort_unstable();
    let at = |p: usize| {
        took.get((took.len() * p / 100).min(took.len().saturating_sub(1)))
            .map_or(0, Duration::as_micros)
    };
    serde_json::json!({ "p50": at(50) as u64, "p90": at(90) as u64, "p99": at(99) as u64 })
}
