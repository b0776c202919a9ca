//! What moves layers: pull, push, save, load, import, export.

use super::{engine, login};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use crate::progress::Progress;
use http::Method;
use remote::{Body, Docker, Lines, escape};
use std::io::{IsTerminal, Write};

/// Name and tag; `latest` when there is none, the digest when there is one.
pub fn split_tag(reference: &str) -> (&str, &str) {
    if let Some(at) = reference.split_once('@') {
        return at;
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

/// A name with its tag, as people write it.
pub fn familiar(reference: &str) -> String {
    let (name, tag) = split_tag(reference);
    let mark = if reference.contains('@') { '@' } else { ':' };
    format!("{name}{mark}{tag}")
}

/// Fetches an image, showing progress (on standard error when somebody else's output goes to standard output).
pub async fn fetch(call: &Call, engine: &Docker, image: &str, aside: bool) -> Result<(), Failure> {
    let (name, tag) = split_tag(image);
    let mut path = format!("/images/create?fromImage={}&tag={}", escape(name), escape(tag));
    if let Some(platform) = call.get("platform") {
        path.push_str(&format!("&platform={}", escape(platform)));
    }
    let auth = login::header(call, name)?;
    let headers = [("x-registry-auth", auth.as_str())];
    let what = format!("pull `{image}`");
    let lines = engine.lines(Method::POST, &path, &headers, remote::empty()).await;
    let lines = lines.map_err(|e| Failure::docker(&what, &e))?;
    follow(lines, Progress::new(call.has("quiet"), aside), &what).await
}

/// Shows messages until they end.
pub async fn follow(mut lines: Lines, mut progress: Progress, what: &str) -> Result<(), Failure> {
    while let Some(message) = lines.json().await.map_err(|e| Failure::docker(what, &e))? {
        progress
            .message(&message)
            .map_err(|why| Failure { plain: Some(why.clone()), ..Failure::new(what, why) })?;
    }
    Ok(())
}

pub async fn pull(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    let image = &call.args[0];
    if call.has("all-tags") {
        return Err(call.bad_value("all-tags", "true", "tags are pulled one by one"));
    }
    if !call.has("quiet") && split_tag(image).0.len() == image.len() {
        out::line("Using default tag: latest");
    }
    fetch(call, &engine, image, false).await?;
    out::line(qualified(image));
    Ok(0)
}

/// `docker.io/library/debian:12`
fn qualified(image: &str) -> String {
    let name = familiar(image);
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((domain, _)) if domain.contains(['.', ':']) || domain == "localhost" => name,
        Some(_) => format!("docker.io/{name}"),
    }
}

pub async fn push(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    let image = &call.args[0];
    let (name, tag) = split_tag(image);
    let tag = if call.has("all-tags") { "" } else { tag };
    let auth = login::header(call, name)?;
    let what = format!("push `{image}`");
    let path = format!("/images/{name}/push?tag={}", escape(tag));
    let headers = [("x-registry-auth", auth.as_str())];
    let lines = engine.lines(Method::POST, &path, &headers, remote::empty()).await;
    let lines = lines.map_err(|e| Failure::docker(&what, &e))?;
    follow(lines, Progress::new(call.has("quiet"), false), &what).await?;
    if call.has("quiet") {
        out::line(qualified(image));
    }
    Ok(0)
}

/// Writes an answer into the file `--output` names, or to standard output.
async fn write_out(call: &Call, mut lines: Lines, what: &str) -> Result<u8, Failure> {
    let failed = |e: std::io::Error| Failure::new(what, e);
    let mut file = match call.get("output") {
        Some(path) => Some(std::fs::File::create(path).map_err(failed)?),
        None => None,
    };
    while let Some(chunk) = lines.chunk().await.map_err(|e| Failure::docker(what, &e))? {
        match &mut file {
            Some(file) => file.write_all(&chunk).map_err(failed)?,
            None => out::write(&chunk),
        }
    }
    Ok(0)
}

fn refuse_terminal(call: &Call, flag: &str) -> Result<(), Failure> {
    if call.get(flag).is_none() && std::io::stdout().is_terminal() {
        return Err(Failure::plain(format!(
            "cowardly refusing to save to a terminal. Use the --{flag} flag or redirect"
        )));
    }
    Ok(())
}

pub async fn save(call: &Call) -> Result<u8, Failure> {
    refuse_terminal(call, "output")?;
    let names: Vec<String> =
        call.args.iter().map(|name| format!("names={}", escape(name))).collect();
    let path = format!("/images/get?{}", names.join("&"));
    let what = format!("save {}", call.args.join(", "));
    let lines = engine(call)?.lines(Method::GET, &path, &[], remote::empty()).await;
    write_out(call, lines.map_err(|e| Failure::docker(&what, &e))?, &what).await
}

pub async fn export(call: &Call) -> Result<u8, Failure> {
    refuse_terminal(call, "output")?;
    let name = &call.args[0];
    let what = format!("export `{name}`");
    let path = format!("/containers/{}/export", escape(name));
    let lines = engine(call)?.lines(Method::GET, &path, &[], remote::empty()).await;
    write_out(call, lines.map_err(|e| Failure::docker(&what, &e))?, &what).await
}

/// The contents of a file, or of standard input for `-`.
pub async fn source(path: &str) -> Result<Body, Failure> {
    if path != "-" {
        let file = tokio::fs::File::open(path).await;
        return Ok(remote::stream(file.map_err(|e| Failure::new(format!("open `{path}`"), e))?));
    }
    if std::io::stdin().is_terminal() {
        return Err(Failure::plain("requested load from stdin, but stdin is empty"));
    }
    let (mut writer, reader) = tokio::io::duplex(64 << 10);
    let mut piped = crate::term::stdin();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        while let Some(bytes) = piped.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    Ok(remote::stream(reader))
}

pub async fn load(call: &Call) -> Result<u8, Failure> {
    let body = source(call.get("input").unwrap_or("-")).await?;
    let path = format!("/images/load?quiet={}", call.has("quiet"));
    let headers = [("content-type", "application/x-tar")];
    let lines = engine(call)?.lines(Method::POST, &path, &headers, body).await;
    let lines = lines.map_err(|e| Failure::docker("load the images", &e))?;
    follow(lines, Progress::new(false, false), "load the images").await?;
    Ok(0)
}

pub async fn import(call: &Call) -> Result<u8, Failure> {
    let source_name = &call.args[0];
    let target = call.args.get(1).map_or("", String::as_str);
    let (name, tag) = if target.is_empty() { ("", "") } else { split_tag(target) };
    let remote = source_name.starts_with("http://") || source_name.starts_with("https://");
    let from = if remote { source_name.as_str() } else { "-" };
    let mut path = format!(
        "/images/create?fromSrc={}&repo={}&tag={}&message={}",
        escape(from),
        escape(name),
        escape(tag),
        escape(call.get("message").unwrap_or_default()),
    );
    for change in call.all("change") {
        path.push_str(&format!("&changes={}", escape(change)));
    }
    if let Some(platform) = call.get("platform") {
        path.push_str(&format!("&platform={}", escape(platform)));
    }
    let body = if remote { remote::empty() } else { source(source_name).await? };
    let what = format!("import `{source_name}`");
    let lines = engine(call)?.lines(Method::POST, &path, &[], body).await;
    let lines = lines.map_err(|e| Failure::docker(&what, &e))?;
    follow(lines, Progress::new(false, false), &what).await?;
    Ok(0)
}
