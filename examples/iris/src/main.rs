//! `iris`: a small model server. One static binary trains a model, serves it, and scores data with it.
//!
//! It is the example that `boxship demo` builds, ships and runs. It uses nothing but the standard library.

mod data;
mod http;
mod json;
mod linear;
mod model;
mod score;
mod serve;
mod signal;

use std::process::ExitCode;

const HELP: &str = "\
iris train       train the model named by $MODEL (v1, v2) on /iris.csv, write /iris.model
iris serve       answer POST /predict, GET /model /healthz /readyz /burn?ms=N on port $PORT (8080)
iris evaluate    how often the model is right about the rows it was not trained on
iris score URL   send every row of /iris.csv to URL, count right answers
";

const DATA: &str = "/iris.csv";
const MODEL: &str = "/iris.model";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["train"] => train(),
        ["serve"] => serve::run(MODEL),
        ["evaluate"] => evaluate(),
        ["score", url] => score::run(url, DATA),
        _ => Err(format!("unknown command {words:?}\n{HELP}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("iris: {why}");
            ExitCode::FAILURE
        }
    }
}

fn train() -> Result<(), String> {
    let recipe = model::recipe(&std::env::var("MODEL").unwrap_or_else(|_| "v1".into()))?;
    let rows = data::read(DATA)?;
    let (learned_from, held_out) = data::split(&rows);
    let model = recipe.train(&learned_from);
    println!(
        "trained {} on {} rows, accuracy {:.3}; on {} rows held out {:.3}",
        recipe.name,
        learned_from.len(),
        model.accuracy(&learned_from),
        held_out.len(),
        model.accuracy(&held_out),
    );
    std::fs::write(MODEL, model.to_text()).map_err(|e| format!("write {MODEL}: {e}"))
}

fn evaluate() -> Result<(), String> {
    let model = model::load(MODEL)?;
    let rows = data::read(DATA)?;
    let (_, held_out) = data::split(&rows);
    let accuracy = model.accuracy(&held_out);
    println!("model {} accuracy {accuracy:.3} on {} rows", model.name, held_out.len());
    match accuracy {
        a if a >= 0.9 => Ok(()),
        _ => Err("the model has become worse than 0.9".into()),
    }
}
