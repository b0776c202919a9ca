//! The keeper as a program of its own, for this crate's tests and benchmarks.
//! In the product the same function runs as `boxship keeper`.

fn main() -> std::process::ExitCode {
    runtime::keeper::main(std::env::args().skip(1))
}
