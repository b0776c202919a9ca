//! `cargo xtask bench build`.

use super::Setup;
use super::report::Report;

pub fn run(_: &Setup, _: &mut Report) -> Result<(), String> {
    Err("this benchmark is not written yet".into())
}
