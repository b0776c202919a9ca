//! Git repositories, through the machine's `git`.
//!
//! BuildKit calls the same program (`source/git/source.go`). A library in Rust would bring some
//! hundred packages for what a build needs once, and neither the user's transports nor fixes of
//! the protocol's client. Without the program there is a clear error.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::claim::Folder;
use crate::error::{BuildError, Doing, Result};
use crate::fetch::Fetched;
use crate::rooted;

/// Where a repository is, what of it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    pub remote: String,
    /// Branch, tag or commit; empty: the default branch.
    pub reference: String,
    pub subdir: String,
    pub checksum: Option<String>,
}

/// What to clone.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    pub address: Address,
    /// What the commit must begin with.
    pub checksum: Option<String>,
    pub keep_git_dir: bool,
    /// An ssh agent's socket.
    pub agent: Option<PathBuf>,
}

/// Whether a text means a repository (BuildKit `util/gitutil/git_url.go`).
pub fn is_repository(text: &str) -> bool {
    let path = text.split(['#', '?']).next().unwrap_or_default();
    let web = text.starts_with("http://") || text.starts_with("https://");
    let named = ["git://", "ssh://", "git@", "github.com/"].iter().any(|p| text.starts_with(p));
    named || (web && path.ends_with(".git"))
}

impl Address {
    /// `URL#ref:folder` or `URL?ref=...&subdir=...`.
    pub fn parse(text: &str) -> Result<Self> {
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (remote, query) = rest.split_once('?').unwrap_or((rest, ""));
        let remote = match remote.strip_prefix("github.com/") {
            Some(path) => format!("https://github.com/{path}"),
            None => remote.to_owned(),
        };
        let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
        let mut out = Self { remote, checksum: None, ..Self::default() };
        (out.reference, out.subdir) = (reference.to_owned(), subdir.to_owned());
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            match pair.split_once('=') {
                Some(("ref", value)) => value.clone_into(&mut out.reference),
                Some(("branch", value)) => out.reference = format!("refs/heads/{value}"),
                Some(("tag", value)) => out.reference = format!("refs/tags/{value}"),
                Some(("subdir", value)) => value.clone_into(&mut out.subdir),
                Some(("checksum" | "commit", value)) => out.checksum = Some(value.to_owned()),
                _ => return Err(BuildError::new(format!("unexpected query \"{pair}\" in {text}"))),
            }
        }
        if out.remote.starts_with('-') || out.reference.starts_with('-') {
            return Err(BuildError::new(format!("{text} is no git address")));
        }
        Ok(out)
    }
}

/// Clones what is asked for, and no more of the history than needed, below `work`.
pub fn clone(wish: &Wish, work: &Path) -> Result<Fetched> {
    let folder = Folder::new(work)?;
    let git = Git { root: folder.0.join("tree"), agent: wish.agent.clone() };
    let address = &wish.address;
    std::fs::create_dir(&git.root).doing(|| "making a folder for git".to_owned())?;
    git.run(&["init", "--quiet"])?;
    git.run(&["remote", "add", "--", "origin", &address.remote])?;
    let reference = if address.reference.is_empty() { "HEAD" } else { &address.reference };
    let commit = git.fetch(reference)?;
    git.run(&["-c", "advice.detachedHead=false", "checkout", "--quiet", &commit])?;
    let commit = git.run(&["rev-parse", "HEAD"])?;
    for wanted in [&wish.checksum, &address.checksum].into_iter().flatten() {
        if !commit.starts_with(wanted.as_str()) {
            return Err(BuildError::new(format!(
                "expected checksum to match {wanted}, got {commit}"
            )));
        }
    }
    git.run(&["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"])?;
    finish(wish, git.root, &commit, folder)
}

fn finish(wish: &Wish, root: PathBuf, commit: &str, folder: Folder) -> Result<Fetched> {
    if !wish.keep_git_dir {
        std::fs::remove_dir_all(root.join(".git")).doing(|| "removing .git".to_owned())?;
    }
    let subdir = &wish.address.subdir;
    let path = rooted::resolve(&root, subdir)
        .ok()
        .filter(|p| p.is_dir())
        .ok_or_else(|| BuildError::new(format!("subdir {subdir} not found in the repository")))?;
    let identity = format!("{commit}:{subdir}:{}", wish.keep_git_dir);
    Ok(Fetched::new(&path, "", &identity, Some(folder)))
}

struct Git {
    root: PathBuf,
    agent: Option<PathBuf>,
}

impl Git {
    /// Brings `reference` and says which commit it is: alone if the server can do that (the plain
    /// HTTP transport cannot), a short commit id out of everything.
    fn fetch(&self, reference: &str) -> Result<String> {
        let alone = ["fetch", "--quiet", "--depth=1", "--", "origin", reference];
        let named = ["fetch", "--quiet", "--", "origin", reference];
        let Err(e) = self.run(&alone).or_else(|_| self.run(&named)) else {
            return self.run(&["rev-parse", "--verify", "FETCH_HEAD^{commit}"]);
        };
        self.run(&["fetch", "--quiet", "--tags", "origin"]).map_err(|_| e.clone())?;
        self.run(&["rev-parse", "--verify", &format!("{reference}^{{commit}}")]).map_err(|_| e)
    }

    /// Runs git without any of the user's configuration; gives what it printed.
    fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new("git");
        command
            .current_dir(&self.root)
            .args(["-c", "protocol.allow=user", "-c", "core.hooksPath=/dev/null"])
            .args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"])
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "http:https:git:ssh")
            .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new")
            .env_remove("GIT_DIR")
            .env_remove("SSH_AUTH_SOCK");
        if let Some(agent) = &self.agent {
            command.env("SSH_AUTH_SOCK", agent);
        }
        let out = command.stdin(std::process::Stdio::null()).output().map_err(|e| {
            BuildError::new(format!("running git: {e}; it must be installed for git sources"))
        })?;
        if out.status.success() {
            return Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned());
        }
        let said = String::from_utf8_lossy(&out.stderr).trim().to_owned();
        let word = args.iter().find(|a| !a.starts_with('-') && !a.contains('='));
        Err(BuildError::new(format!("git {}: {said}", word.unwrap_or(&""))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let a = Address::parse("https://h/r.git#v1:sub/dir").unwrap();
        assert_eq!((a.remote.as_str(), a.reference.as_str()), ("https://h/r.git", "v1"));
        assert_eq!(a.subdir, "sub/dir");
        let a = Address::parse("git@h:r.git?branch=main&subdir=x").unwrap();
        assert_eq!((a.reference.as_str(), a.subdir.as_str()), ("refs/heads/main", "x"));
        assert!(Address::parse("https://h/r.git#--upload-pack=x").is_err());
        assert!(Address::parse("https://h/r.git?x=y").is_err());
        for yes in ["git@h:r", "git://h/r", "ssh://h/r", "https://h/r.git#x", "github.com/a/b"] {
            assert!(is_repository(yes), "{yes}");
        }
        assert!(!is_repository("https://h/r.tar") && !is_repository("/r.git"));
    }
}
