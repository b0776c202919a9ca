//! Downloads, kept by what the server calls them: an unchanged file is not sent again.
//!
//! BuildKit `source/http/source.go`: ETag and Last-Modified are asked for, a given checksum makes
//! asking unnecessary, the file's time is Last-Modified or 1970.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use oci::{Algorithm, Digest, Hasher};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use crate::claim::fresh;
use crate::error::{BuildError, Doing, Result};
use crate::fetch::Fetched;

/// The folder of downloads: `<hash of the URL>.json` beside `<digest of the content>`.
pub struct Downloads {
    pub root: PathBuf,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Known {
    url: String,
    etag: Option<String>,
    last_modified: Option<String>,
    digest: String,
}

const REDIRECTIONS_MAX: usize = 10;

impl Downloads {
    fn body(&self, digest: &str) -> PathBuf {
        self.root.join(digest.replace(':', "-"))
    }

    /// The content of `url`; `checksum` is a digest that it must have.
    pub async fn get(&self, url: &str, checksum: Option<&str>) -> Result<Fetched> {
        std::fs::create_dir_all(&self.root).doing(|| format!("making {}", self.root.display()))?;
        if let Some(sum) = checksum {
            sum.parse::<Digest>().doing(|| format!("invalid checksum {sum}"))?;
            if self.body(sum).is_file() {
                return Ok(self.fetched(url, sum));
            }
        }
        let digest = self.ask(url).await.doing(|| format!("ADD {url}"))?;
        if let Some(wanted) = checksum.filter(|c| *c != digest) {
            return Err(BuildError::new(format!(
                "digest mismatch for {url}: {digest} (expected: {wanted})"
            )));
        }
        Ok(self.fetched(url, &digest))
    }

    fn fetched(&self, url: &str, digest: &str) -> Fetched {
        let path = self.body(digest);
        // Its time is when it was last of use; failing only makes it go earlier.
        let _ = std::fs::File::open(self.note(url)).and_then(|f| f.set_modified(SystemTime::now()));
        Fetched::new(&path, &file_name(url), digest, None)
    }

    fn note(&self, url: &str) -> PathBuf {
        self.root.join(format!("{}.json", Digest::sha256(url.as_bytes()).hex()))
    }

    async fn ask(&self, url: &str) -> Result<String> {
        let known = std::fs::read(self.note(url)).ok();
        let known: Option<Known> = known.and_then(|b| serde_json::from_slice(&b).ok());
        let known = known.filter(|k| self.body(&k.digest).is_file());
        let answer = follow(url, &conditions(known.as_ref())).await?;
        match (answer.status(), known) {
            (StatusCode::NOT_MODIFIED, Some(known)) => Ok(known.digest),
            (status, _) if status.is_success() => self.keep(url, answer).await,
            (status, _) => {
                Err(BuildError::new(format!("invalid response status {}", status.as_u16())))
            }
        }
    }

    /// Writes the body down under its digest.
    async fn keep(&self, url: &str, answer: Response<Incoming>) -> Result<String> {
        let text = |name| answer.headers().get(name).and_then(|v| v.to_str().ok());
        let (etag, last) = (text(header::ETAG), text(header::LAST_MODIFIED));
        let (etag, last_modified) = (etag.map(str::to_owned), last.map(str::to_owned));
        let time = last_modified.as_deref().and_then(seconds).unwrap_or(0);
        let part = self.root.join(format!("part-{}", fresh()?));
        let written = write(answer, &part, time).await;
        if written.is_err() {
            // The reason of the failure counts more than a file that recovery removes.
            let _ = std::fs::remove_file(&part);
        }
        let digest = written?.to_string();
        let keeping = || format!("keeping {url}");
        std::fs::rename(&part, self.body(&digest)).doing(keeping)?;
        let known = Known { url: url.to_owned(), etag, last_modified, digest: digest.clone() };
        let bytes = serde_json::to_vec(&known).doing(keeping)?;
        std::fs::write(self.note(url), bytes).doing(keeping)?;
        Ok(digest)
    }

    /// Name, size and last use of every kept download.
    pub fn rows(&self) -> Vec<(PathBuf, String, u64, SystemTime)> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        let notes = entries.filter(|e| e.path().extension().is_some_and(|x| x == "json"));
        let row = |note: PathBuf| {
            let known: Known = serde_json::from_slice(&std::fs::read(&note).ok()?).ok()?;
            let size = std::fs::metadata(self.body(&known.digest)).map_or(0, |m| m.len());
            let used = std::fs::metadata(&note).and_then(|m| m.modified()).ok()?;
            Some((note, known.url, size, used))
        };
        notes.filter_map(|e| row(e.path())).collect()
    }

    /// Forgets one by the name of its note; its body goes when no other note names it.
    pub fn remove(&self, key: &str) -> Result<()> {
        let note = self.root.join(format!("{key}.json"));
        let known =
            std::fs::read(&note).ok().and_then(|b| serde_json::from_slice::<Known>(&b).ok());
        std::fs::remove_file(&note).doing(|| format!("removing {}", note.display()))?;
        let Some(known) = known else { return Ok(()) };
        let shared = self.rows().iter().any(|(other, ..)| {
            let other = std::fs::read(other).unwrap_or_default();
            serde_json::from_slice::<Known>(&other).is_ok_and(|o| o.digest == known.digest)
        });
        if !shared {
            let body = self.body(&known.digest);
            std::fs::remove_file(&body).doing(|| format!("removing {}", body.display()))?;
        }
        Ok(())
    }

    /// Removes downloads that were cut.
    pub fn clean(&self) {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        for entry in entries.filter(|e| e.file_name().to_string_lossy().starts_with("part-")) {
            if let Err(e) = std::fs::remove_file(entry.path()) {
                eprintln!("build: removing {}: {e}", entry.path().display());
            }
        }
    }
}

fn conditions(known: Option<&Known>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name: HeaderName, value: Option<&String>| {
        if let Some(value) = value.and_then(|v| HeaderValue::from_str(v).ok()) {
            headers.insert(name, value);
        }
    };
    put(header::IF_NONE_MATCH, known.and_then(|k| k.etag.as_ref()));
    put(header::IF_MODIFIED_SINCE, known.and_then(|k| k.last_modified.as_ref()));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("boxship"));
    headers
}

async fn follow(url: &str, headers: &HeaderMap) -> Result<Response<Incoming>> {
    let mut at = url.to_owned();
    for _ in 0..REDIRECTIONS_MAX {
        let answer = image::http_get(&at, headers.clone()).await?;
        let location = answer.headers().get(header::LOCATION).and_then(|l| l.to_str().ok());
        match location {
            Some(to) if answer.status().is_redirection() => at = join(&at, to)?,
            _ => return Ok(answer),
        }
    }
    Err(BuildError::new(format!("stopped after {REDIRECTIONS_MAX} redirects")))
}

/// Where a `Location` leads; only to HTTP, and never from TLS to plain text.
fn join(base: &str, to: &str) -> Result<String> {
    let whole = if to.contains("://") {
        to.to_owned()
    } else {
        let scheme_end = base.find("://").map_or(0, |at| at + 3);
        let host_end = base[scheme_end..].find('/').map_or(base.len(), |at| scheme_end + at);
        match to {
            to if to.starts_with("//") => format!("{}{to}", &base[..scheme_end - 2]),
            to if to.starts_with('/') => format!("{}{to}", &base[..host_end]),
            to => format!("{}/{to}", base.rsplit_once('/').map_or(base, |(folder, _)| folder)),
        }
    };
    let secure = |url: &str| url.starts_with("https://");
    if secure(&whole) || (whole.starts_with("http://") && !secure(base)) {
        return Ok(whole);
    }
    Err(BuildError::new(format!("refused to follow the redirection to {whole}")))
}

async fn write(answer: Response<Incoming>, to: &Path, time: u64) -> Result<Digest> {
    let writing = || format!("writing {}", to.display());
    let mut file = tokio::fs::File::create(to).await.doing(writing)?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.doing(|| "reading the answer".to_owned())?;
        if let Some(bytes) = frame.data_ref() {
            hasher.update(bytes);
            file.write_all(bytes).await.doing(writing)?;
        }
    }
    file.flush().await.doing(writing)?;
    let file = file.into_std().await;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    file.set_permissions(mode).doing(writing)?;
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(time)).doing(writing)?;
    Ok(hasher.finish())
}

/// `Tue, 15 Nov 1994 08:12:31 GMT`.
fn seconds(text: &str) -> Option<u64> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
    u64::try_from(time).ok()
}

/// The last part of the path (BuildKit `dockerfile2llb/convert.go`, `__unnamed__`).
pub fn file_name(url: &str) -> String {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let name = path.split_once('/').map_or("", |(_, p)| p).trim_end_matches('/');
    let name = name.rsplit('/').next().unwrap_or_default();
    match name {
        "" | "." | ".." => "__unnamed__".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_redirections() {
        assert_eq!(file_name("https://h/a/b.tar.gz?x=1#y"), "b.tar.gz");
        assert_eq!(file_name("https://h"), "__unnamed__");
        assert_eq!(file_name("https://h/.."), "__unnamed__");
        assert_eq!(seconds("Thu, 01 Jan 1970 00:01:40 GMT"), Some(100));
        let to = |to| join("https://h/a/b", to).map_err(|e| e.message);
        assert_eq!(to("/c").unwrap(), "https://h/c");
        assert_eq!(to("c").unwrap(), "https://h/a/c");
        assert_eq!(to("//g/c").unwrap(), "https://g/c");
        assert!(to("http://h/c").is_err() && to("file:///etc/passwd").is_err());
    }
}
