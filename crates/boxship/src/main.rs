//! `boxship`: Docker and Kubernetes in one binary. This crate only puts the pieces together.

mod builder;
mod command;
mod connect;
mod demo;
mod detach;
mod doctor;
mod down;
mod engine;
mod failure;
mod journal;
mod kubeconfig;
mod listen;
mod logs;
mod networks;
mod operate;
mod presence;
mod reset;
mod server;
mod simulated;
mod status;
mod unit;
mod up;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    journal::start();
    match command::run(std::env::args_os()) {
        Ok(code) => code,
        Err(failure) => {
            eprint!("{failure}");
            ExitCode::FAILURE
        }
    }
}
