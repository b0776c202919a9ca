//! From source to images: compile the model server, and let the engine build it into images that train their models.

use super::cluster::{Cluster, blocking};
use super::show::{Outcome, Progress};
use crate::failure::Failure;
use http::Method;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// `examples/iris`, so that the demo needs no checkout.
static SOURCES: [(&str, &str); 12] = [
    ("Cargo.toml", include_str!("../../../../examples/iris/Cargo.toml")),
    ("Cargo.lock", include_str!("../../../../examples/iris/Cargo.lock")),
    ("Dockerfile", include_str!("../../../../examples/iris/Dockerfile")),
    ("src/main.rs", include_str!("../../../../examples/iris/src/main.rs")),
    ("src/data.rs", include_str!("../../../../examples/iris/src/data.rs")),
    ("src/http.rs", include_str!("../../../../examples/iris/src/http.rs")),
    ("src/json.rs", include_str!("../../../../examples/iris/src/json.rs")),
    ("src/linear.rs", include_str!("../../../../examples/iris/src/linear.rs")),
    ("src/model.rs", include_str!("../../../../examples/iris/src/model.rs")),
    ("src/score.rs", include_str!("../../../../examples/iris/src/score.rs")),
    ("src/serve.rs", include_str!("../../../../examples/iris/src/serve.rs")),
    ("src/signal.rs", include_str!("../../../../examples/iris/src/signal.rs")),
];
/// The measured plants.
pub const DATA: &str = include_str!("../../../../examples/iris/iris.csv");

fn source_dir(cluster: &Cluster) -> PathBuf {
    cluster.place.file("iris")
}

/// A static binary: its image needs no base.
pub async fn compile(cluster: &Cluster) -> Result<Outcome, Failure> {
    let dir = source_dir(cluster);
    let what = || format!("compile the model server in `{}`", dir.display());
    write_sources(&dir).map_err(|e| Failure::new(what(), e))?;
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["build", "--release", "--offline", "--quiet", "--target", &target, "--target-dir"])
        .arg(dir.join("target"))
        .current_dir(&dir)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET");
    let output = blocking(move || build.output()).await?;
    let output = output.map_err(|e| Failure::new(what(), e).hint(NO_CARGO))?;
    if !output.status.success() {
        return Err(Failure::new(what(), String::from_utf8_lossy(&output.stderr)).hint(NO_LIBC));
    }
    let binary = dir.join("target").join(target).join("release/iris");
    std::fs::copy(&binary, dir.join("iris")).map_err(|e| Failure::new(what(), e))?;
    let size = std::fs::metadata(&binary).map_or(0, |m| m.len());
    Ok(Outcome::Done(format!("static binary of {}", megabytes(size))))
}

const NO_CARGO: &str =
    "the demo compiles its model server: it needs the Rust toolchain (https://rustup.rs)";
const NO_LIBC: &str =
    "a static binary needs the C library's static part (Debian: libc6-dev, Fedora: glibc-static)";

fn write_sources(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir.join("src"))?;
    std::fs::write(dir.join("iris.csv"), DATA)?;
    SOURCES.iter().try_for_each(|(name, text)| std::fs::write(dir.join(name), text))
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

/// Builds `iris:<model>` through the Docker API.
pub async fn build(cluster: &Cluster, model: &str, say: Progress) -> Result<Outcome, Failure> {
    let what = || format!("build the image iris:{model}");
    let context = context(&source_dir(cluster)).map_err(|e| Failure::new(what(), e))?;
    let arguments = remote::escape(&json!({ "MODEL": model }).to_string());
    let path = format!("/build?t=iris:{model}&buildargs={arguments}");
    let headers = [("content-type", "application/x-tar")];
    let failed = |e: remote::Error| Failure::new(what(), e);
    let sent = cluster.docker.lines(Method::POST, &path, &headers, remote::full(context));
    let (began, mut trained) = (Instant::now(), String::new());
    let mut lines = sent.await.map_err(failed)?;
    while let Some(line) = lines.json().await.map_err(failed)? {
        if let Some(error) = line["error"].as_str() {
            return Err(Failure::new(what(), error));
        }
        let text = line["stream"].as_str().unwrap_or_default().trim();
        if text.starts_with("trained ") {
            trained = text.to_string();
        }
        say.say(text);
    }
    let took = began.elapsed().as_millis();
    let image = cluster.docker(Method::GET, &format!("/images/iris:{model}/json")).await?;
    let size = megabytes(image["Size"].as_u64().unwrap_or_default());
    Ok(Outcome::Done(format!("{size} in {took} ms, in the cluster at once; {trained}")))
}

/// The build context as a tar stream.
fn context(dir: &Path) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for name in ["Dockerfile", "iris", "iris.csv"] {
        tar.append_path_with_name(dir.join(name), name)?;
    }
    tar.into_inner()
}
