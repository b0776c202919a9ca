//! `build`: the context as a tar archive without what `.dockerignore` names, and the builder's words as they come.

use super::{engine, login, options};
use crate::command::{Flag, many, on, one, perhaps};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use crate::progress::Progress;
use dockerfile::ignore::Ignore;
use http::Method;
use meta::{Map, Value};
use remote::{Body, Lines, escape};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

pub const FLAGS: &[Flag] = &[
    many("add-host", None, "NAME:IP", "A line of /etc/hosts in RUN steps"),
    many("build-arg", None, "NAME[=VALUE]", "Value of an ARG, or the caller's own"),
    many("cache-from", None, "IMAGE", "Where else to look for steps"),
    on("check", None, "Look for mistakes without building"),
    one("file", Some('f'), "FILE", "The Dockerfile (PATH/Dockerfile), - for standard input"),
    on("force-rm", None, "Remove what failed steps leave (always done)"),
    one("iidfile", None, "FILE", "Write the image's id there"),
    many("label", None, "KEY=VALUE", "A label of the image"),
    one("memory", Some('m'), "BYTES", "Memory of RUN steps"),
    one("network", None, "MODE", "Network of RUN steps"),
    on("no-cache", None, "Every step anew"),
    many("output", Some('o'), "type=...", "Where the result goes instead of the image store"),
    one("platform", None, "OS/ARCH", "For which platform"),
    one("progress", None, "auto|plain|quiet|rawjson", "How progress is shown"),
    on("pull", None, "Fetch base images anew"),
    on("quiet", Some('q'), "Only the image's id"),
    perhaps("rm", "BOOL", "true", "Remove what steps leave (always done)"),
    one("shm-size", None, "BYTES", "Size of /dev/shm in RUN steps"),
    many("tag", Some('t'), "NAME[:TAG]", "Name of the image"),
    one("target", None, "STAGE", "Up to which stage"),
];

pub async fn build(call: &Call) -> Result<u8, Failure> {
    let context = Context::find(call)?;
    if call.has("check") {
        return check(&context);
    }
    let what = format!("build `{}`", call.args[0]);
    let query = query(call, &context)?;
    let auth = login::all(call)?;
    let headers = [("content-type", "application/x-tar"), ("x-registry-config", auth.as_str())];
    let body = context.body().await?;
    let lines = engine(call)?.lines(Method::POST, &format!("/build?{query}"), &headers, body).await;
    let lines = lines.map_err(|e| Failure::docker(&what, &e))?;
    let id = follow(call, lines, &what).await?;
    if let Some(file) = call.get("iidfile") {
        std::fs::write(file, &id).map_err(|e| Failure::new(format!("write `{file}`"), e))?;
    }
    if call.has("quiet") {
        out::line(&id);
    }
    Ok(0)
}

/// Shows progress until it ends; the image's id.
async fn follow(call: &Call, mut lines: Lines, what: &str) -> Result<String, Failure> {
    let how = call.get("progress").unwrap_or("auto");
    if !matches!(how, "auto" | "plain" | "tty" | "quiet" | "rawjson") {
        return Err(call.bad_value("progress", how, "it is auto, plain, quiet or rawjson"));
    }
    let quiet = call.has("quiet") || how == "quiet";
    let mut progress = Progress::new(quiet, false);
    let mut id = String::new();
    while let Some(message) = lines.json().await.map_err(|e| Failure::docker(what, &e))? {
        if let Some(found) = message["aux"]["ID"].as_str() {
            found.clone_into(&mut id);
        }
        if how == "rawjson" && !quiet {
            out::line(message.to_string());
        }
        let shown =
            if how == "rawjson" { failure_in(&message) } else { progress.message(&message) };
        shown.map_err(|why| Failure { plain: Some(why.clone()), ..Failure::new(what, why) })?;
    }
    Ok(id)
}

fn failure_in(message: &Value) -> Result<(), String> {
    message["errorDetail"]["message"].as_str().map_or(Ok(()), |why| Err(why.to_owned()))
}

fn query(call: &Call, context: &Context) -> Result<String, Failure> {
    let mut out = format!("dockerfile={}&rm=1&forcerm=1&version=1", escape(&context.dockerfile));
    for (flag, key) in [("no-cache", "nocache"), ("pull", "pull"), ("quiet", "q")] {
        if call.has(flag) {
            out.push_str(&format!("&{key}=1"));
        }
    }
    for (flag, key) in [("target", "target"), ("platform", "platform"), ("network", "networkmode")]
    {
        if let Some(value) = call.get(flag) {
            out.push_str(&format!("&{key}={}", escape(value)));
        }
    }
    for (flag, key) in [("memory", "memory"), ("shm-size", "shmsize")] {
        if let Some(text) = call.get(flag) {
            let bytes =
                options::bytes(text).ok_or_else(|| call.bad_value(flag, text, "invalid size"))?;
            out.push_str(&format!("&{key}={bytes}"));
        }
    }
    for (flag, key) in [("tag", "t"), ("add-host", "extrahosts")] {
        for value in call.all(flag) {
            out.push_str(&format!("&{key}={}", escape(value)));
        }
    }
    for (flag, key) in [("cache-from", "cachefrom"), ("output", "outputs")] {
        if !call.all(flag).is_empty() {
            let list: Value = call.all(flag).into();
            out.push_str(&format!("&{key}={}", escape(&list.to_string())));
        }
    }
    let arguments: Map = call.all("build-arg").iter().map(|text| argument(text)).collect();
    out.push_str(&format!("&buildargs={}", escape(&Value::Object(arguments).to_string())));
    let labels = options::pairs(call.all("label")).to_string();
    out.push_str(&format!("&labels={}", escape(&labels)));
    Ok(out)
}

/// `NAME=VALUE`, or the caller's own variable of that name; null when there is none.
fn argument(text: &str) -> (String, Value) {
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.into()),
        None => (text.to_owned(), std::env::var(text).map_or(Value::Null, Value::from)),
    }
}

/// What is sent.
struct Context {
    /// The directory; nothing when standard input is an archive itself.
    root: Option<PathBuf>,
    /// Its name inside the archive.
    dockerfile: String,
    /// Its text when it is not a file of the context.
    outside: Option<Vec<u8>>,
}

/// Under which a Dockerfile from elsewhere travels.
const OUTSIDE: &str = ".dockerfile.boxship";

impl Context {
    fn find(call: &Call) -> Result<Self, Failure> {
        let place = call.args[0].as_str();
        let file = call.get("file");
        if place == "-" {
            return Self::piped(file);
        }
        if place.contains("://") || place.starts_with("git@") {
            let why =
                "contexts from elsewhere are not fetched yet; clone it and give the directory";
            return Err(Failure::new(format!("build `{place}`"), why));
        }
        let root = std::fs::canonicalize(place)
            .map_err(|e| Failure::new(format!("open the context `{place}`"), e))?;
        if !root.is_dir() {
            return Err(Failure::new(format!("open the context `{place}`"), "it is no directory"));
        }
        let (dockerfile, outside) = match file {
            None => ("Dockerfile".to_owned(), None),
            Some("-") => (OUTSIDE.to_owned(), Some(read_stdin()?)),
            Some(file) => located(&root, file)?,
        };
        if outside.is_none() && !root.join(&dockerfile).exists() {
            let why = format!("there is no `{dockerfile}` in `{}`", root.display());
            let failure = Failure::new("read the Dockerfile", why);
            return Err(failure.hint("-f names another file"));
        }
        Ok(Self { root: Some(root), dockerfile, outside })
    }

    /// Standard input is a Dockerfile without a context; an archive when it starts like one.
    fn piped(file: Option<&str>) -> Result<Self, Failure> {
        let text = read_stdin()?;
        let is_tar = text.get(257..262) == Some(b"ustar") || text.starts_with(&[0x1f, 0x8b]);
        let dockerfile = if is_tar { file.unwrap_or("Dockerfile") } else { OUTSIDE };
        Ok(Self { root: None, dockerfile: dockerfile.to_owned(), outside: Some(text) })
    }

    fn text(&self) -> Result<Vec<u8>, Failure> {
        match (&self.outside, &self.root) {
            (Some(text), _) => Ok(text.clone()),
            (None, root) => {
                let path = root.as_deref().unwrap_or(Path::new(".")).join(&self.dockerfile);
                std::fs::read(&path)
                    .map_err(|e| Failure::new(format!("read `{}`", path.display()), e))
            }
        }
    }

    /// The archive, made while it is sent.
    async fn body(self) -> Result<Body, Failure> {
        let failed = |e: std::io::Error| Failure::new("send the context", e);
        let Some(root) = self.root else {
            let text = self.outside.unwrap_or_default();
            if self.dockerfile != OUTSIDE {
                return Ok(remote::full(text));
            }
            let mut builder = tar::Builder::new(Vec::new());
            add(&mut builder, OUTSIDE, &text).map_err(failed)?;
            return Ok(remote::full(builder.into_inner().map_err(failed)?));
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        theirs.set_nonblocking(true).map_err(failed)?;
        let theirs = tokio::net::UnixStream::from_std(theirs).map_err(failed)?;
        let (dockerfile, outside) = (self.dockerfile, self.outside);
        std::thread::spawn(move || {
            if let Err(e) = pack(&root, &dockerfile, outside.as_deref(), ours) {
                // The builder sees an archive that ends too early and says so.
                out::write_err(format!("error: read the context: {e}\n").as_bytes());
            }
        });
        Ok(remote::stream(theirs))
    }
}

fn read_stdin() -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut std::io::stdin(), &mut text)
        .map_err(|e| Failure::new("read standard input", e))?;
    Ok(text)
}

/// Where a Dockerfile is in the context; its text when it is outside.
fn located(root: &Path, file: &str) -> Result<(String, Option<Vec<u8>>), Failure> {
    let failed = |e: std::io::Error| Failure::new(format!("read the Dockerfile `{file}`"), e);
    let path = std::fs::canonicalize(file).or_else(|_| std::fs::canonicalize(root.join(file)));
    let path = path.map_err(failed)?;
    match path.strip_prefix(root) {
        Ok(inside) => Ok((inside.to_string_lossy().into_owned(), None)),
        Err(_) => Ok((OUTSIDE.to_owned(), Some(std::fs::read(&path).map_err(failed)?))),
    }
}

fn add<W: Write>(builder: &mut tar::Builder<W>, name: &str, text: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, text)
}

fn pack(
    root: &Path,
    dockerfile: &str,
    outside: Option<&[u8]>,
    to: impl Write,
) -> std::io::Result<()> {
    let mut builder = tar::Builder::new(std::io::BufWriter::with_capacity(1 << 16, to));
    builder.follow_symlinks(false);
    let own = root.join(format!("{dockerfile}.dockerignore"));
    let named = if own.exists() { own } else { root.join(".dockerignore") };
    let ignore = Ignore::parse(&std::fs::read_to_string(named).unwrap_or_default());
    // What the builder itself reads always goes along.
    let keep = [dockerfile, ".dockerignore"];
    pack_dir(&mut builder, root, "", &ignore, &keep)?;
    if let Some(text) = outside {
        add(&mut builder, dockerfile, text)?;
    }
    builder.into_inner()?.flush()
}

fn pack_dir<W: Write>(
    builder: &mut tar::Builder<W>,
    root: &Path,
    below: &str,
    ignore: &Ignore,
    keep: &[&str],
) -> std::io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(root.join(below))?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let kind = entry.file_type()?;
        let excluded = ignore.excludes(&path) && !keep.contains(&path.as_str());
        let may_hold =
            ignore.has_exceptions() || keep.iter().any(|k| k.starts_with(&format!("{path}/")));
        if kind.is_dir() {
            if !excluded {
                builder.append_dir(&path, entry.path())?;
            }
            if !excluded || may_hold {
                pack_dir(builder, root, &path, ignore, keep)?;
            }
        } else if !excluded && (kind.is_file() || kind.is_symlink()) {
            builder.append_path_with_name(entry.path(), &path)?;
        }
    }
    Ok(())
}

/// `--check`: the lint rules, without a builder.
fn check(context: &Context) -> Result<u8, Failure> {
    let text = String::from_utf8_lossy(&context.text()?).into_owned();
    let file = dockerfile::parse(&text).map_err(|problem| {
        let at = format!("{}:{}", context.dockerfile, problem.line);
        let failure = Failure::new(format!("parse {at}"), &problem.message);
        match problem.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })?;
    let options = dockerfile::Check::parse(file.check.as_deref().unwrap_or_default());
    let options = options.map_err(|why| Failure::new("read the `check` directive", why))?;
    let found = dockerfile::lint(&file, &options);
    if found.is_empty() {
        out::line("Check complete, no warnings found.");
        return Ok(0);
    }
    let are =
        if found.len() == 1 { "1 warning has" } else { &format!("{} warnings have", found.len()) };
    out::line(format!("Check complete, {are} been found!"));
    for warning in found {
        out::line(format!("\nWARNING: {} - {}", warning.rule, warning.detail));
        let line = text.lines().nth(warning.line.saturating_sub(1)).unwrap_or_default();
        out::line(format!("{}:{}\n  {line}", context.dockerfile, warning.line));
    }
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_files_stay_and_the_dockerfile_goes() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        std::fs::create_dir_all(dir.path().join("out/deep")).unwrap();
        write(".dockerignore", "*.log\nout\n!out/keep\nDockerfile\n");
        for name in ["Dockerfile", "a.log", "main.rs", "out/big", "out/keep"] {
            write(name, "x");
        }
        let mut packed = Vec::new();
        pack(dir.path(), "Dockerfile", None, &mut packed).unwrap();
        let mut archive = tar::Archive::new(&packed[..]);
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, [".dockerignore", "Dockerfile", "main.rs", "out/keep"]);
    }
}
