//! `boxship demo`: the main job from end to end, on real input, with measured times.
//!
//! It starts an instance of its own and talks to it as any client would: HTTPS with the kubeconfig, the Docker API on
//! its socket, HTTP to the load balancer's address. One row per step; a step that fails ends the tour.

mod autoscale;
mod cluster;
mod deploy;
mod heal;
mod image;
mod jobs;
mod load;
mod rollout;
mod show;

use crate::command::Row;
use crate::failure::Failure;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use cluster::{Cluster, Place};
use show::{Line, Outcome, Progress};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Instant;

pub static ROW: Row = Row { command, run };

type Walk<'a> = Pin<Box<dyn Future<Output = Result<Outcome, Failure>> + Send + 'a>>;

/// A step: what it is called, and what it does with a running cluster.
struct Step {
    title: &'static str,
    run: for<'a> fn(&'a Cluster, Progress) -> Walk<'a>,
}

static STEPS: &[Step] = &[
    Step { title: "compile the model server", run: |cluster, _| Box::pin(image::compile(cluster)) },
    Step {
        title: "build the image of model v1",
        run: |cluster, say| Box::pin(image::build(cluster, "v1", say)),
    },
    Step {
        title: "build the image of model v2",
        run: |cluster, say| Box::pin(image::build(cluster, "v2", say)),
    },
    Step {
        title: "deploy 3 replicas behind a Service",
        run: |cluster, say| Box::pin(deploy::deploy(cluster, say)),
    },
    Step { title: "predict 150 real rows", run: |cluster, _| Box::pin(deploy::predict(cluster)) },
    Step { title: "scale to 5", run: |cluster, say| Box::pin(deploy::scale(cluster, say)) },
    Step { title: "lose a pod under load", run: |cluster, say| Box::pin(heal::pod(cluster, say)) },
    Step { title: "lose a container", run: |cluster, say| Box::pin(heal::container(cluster, say)) },
    Step {
        title: "roll out model v2 under load",
        run: |cluster, say| Box::pin(rollout::forward(cluster, say)),
    },
    Step {
        title: "roll back to v1 under load",
        run: |cluster, say| Box::pin(rollout::back(cluster, say)),
    },
    Step {
        title: "score everything in a Job",
        run: |cluster, say| Box::pin(jobs::job(cluster, say)),
    },
    Step {
        title: "schedule a check every minute",
        run: |cluster, _| Box::pin(jobs::schedule(cluster)),
    },
    Step {
        title: "autoscale up under load, then down",
        run: |cluster, say| Box::pin(autoscale::autoscale(cluster, say)),
    },
    Step {
        title: "see the scheduled check (CronJob)",
        run: |cluster, say| Box::pin(jobs::scheduled(cluster, say)),
    },
];

fn command() -> Command {
    Command::new("demo")
        .about("Build, ship, run, scale, heal, update and autoscale a model server, with measured times")
        .after_help(
            "Examples:\n  boxship demo\n  boxship demo --keep     leaves the cluster running and says how to use and end it",
        )
        .args([
            Arg::new("keep")
                .long("keep")
                .action(ArgAction::SetTrue)
                .help("Leave the cluster and what runs in it"),
            Arg::new("data-dir")
                .long("data-dir")
                .value_name("DIR")
                .help("Everything the demo's cluster owns")
                .default_value("/var/lib/boxship-demo")
                .value_parser(value_parser!(PathBuf)),
            Arg::new("name")
                .long("name")
                .value_name("NAME")
                .help("Marks what the demo's cluster creates on this machine")
                .default_value("demo"),
        ])
}

fn run(args: &ArgMatches) -> Result<ExitCode, Failure> {
    let place = Place {
        name: args.get_one::<String>("name").expect("it has a default").clone(),
        dir: args.get_one::<PathBuf>("data-dir").expect("it has a default").clone(),
    };
    let keep = args.get_flag("keep");
    crate::server::runtime()?.block_on(async {
        let began = Instant::now();
        let line = Line::begin("start the cluster");
        let cluster = match Cluster::start(place).await {
            Ok((cluster, said)) => {
                line.end("ok", &said);
                cluster
            }
            Err(failure) => {
                line.end("FAILED", "");
                return Err(failure);
            }
        };
        let walked = tokio::select! {
            walked = walk(&cluster) => walked,
            stopped = crate::server::stopped() => stopped.and(Err(interrupted())),
        };
        let used = cluster.used();
        finish(cluster, keep).await?;
        let skipped = walked?;
        println!("\nall of it in {:.1} s{skipped}{used}", began.elapsed().as_secs_f64());
        Ok(ExitCode::SUCCESS)
    })
}

fn interrupted() -> Failure {
    Failure::new("demo", "interrupted")
}

/// All steps, one after another. Gives a note on those that were skipped.
async fn walk(cluster: &Cluster) -> Result<String, Failure> {
    let mut skipped = Vec::new();
    for step in STEPS {
        let line = Line::begin(step.title);
        match (step.run)(cluster, line.progress()).await {
            Ok(outcome) => {
                line.end(outcome.word(), outcome.text());
                skipped.extend(matches!(outcome, Outcome::Skipped(_)).then_some(step.title));
            }
            Err(failure) => {
                line.end("FAILED", "");
                return Err(failure);
            }
        }
    }
    Ok(match skipped.as_slice() {
        [] => String::new(),
        titles => format!(", skipped: {}", titles.join(", ")),
    })
}

async fn finish(cluster: Cluster, keep: bool) -> Result<(), Failure> {
    if keep {
        println!("\n{}", cluster.keep());
        return Ok(());
    }
    let line = Line::begin("clean up");
    let ended = cluster.end().await;
    line.end(if ended.is_ok() { "ok" } else { "FAILED" }, "nothing of it is left on this machine");
    ended
}
