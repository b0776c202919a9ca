//! Instructions that change files: RUN, COPY, ADD and WORKDIR as operations.

use crate::config;
use crate::graph::{Copying, Origin, RunMount, Running, Source};
use crate::heredoc::{self, Heredoc};
use crate::ignore;
use crate::instruction::{CopyFlags, Form, MountKind, MountSpec};
use crate::scope::Scope;

type Result<T> = std::result::Result<T, String>;

/// The stage as a file-changing step finds it.
pub struct Ground<'a> {
    pub under: usize,
    pub config: &'a oci::Config,
    pub args: &'a [(String, String)],
    pub escape: char,
}

impl Ground<'_> {
    pub fn scope(&self) -> Scope<'_> {
        Scope { env: &self.config.env, args: self.args }
    }

    pub fn word(&self, text: &str) -> Result<String> {
        self.scope().word(text, self.escape)
    }

    fn cwd(&self) -> &str {
        if self.config.working_dir.is_empty() { "/" } else { &self.config.working_dir }
    }
}

/// Go's `path.Join` of an absolute base, and a final slash kept.
pub fn absolute(base: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
    let mut out = match ignore::clean(&whole).as_str() {
        "." => "/".to_owned(),
        clean => format!("/{clean}"),
    };
    let folder = path.ends_with('/') || path.ends_with("/.") || path == ".";
    if folder && out != "/" {
        out.push('/');
    }
    out
}

pub fn workdir(text: &str, g: &Ground<'_>) -> Result<String> {
    let path = g.word(text)?;
    let absolute = absolute(g.cwd(), &path);
    Ok(match absolute.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    })
}

/// `of` finds what a `--from` means.
pub fn copying(c: &CopyFlags, add: bool, origin: Origin, g: &Ground<'_>) -> Result<Copying> {
    let mut sources = Vec::new();
    for text in &c.sources {
        sources.push(source(&g.word(text)?, add));
    }
    for doc in &c.heredocs {
        let expanded = doc.expand.then(|| g.scope().body(&doc.content, g.escape)).transpose()?;
        let content = expanded.unwrap_or_else(|| doc.content.clone());
        sources.push(Source::Inline { name: doc.name.clone(), content });
    }
    sums(c, &sources)?;
    let dest = g.word(&c.dest)?;
    if dest.is_empty() {
        return Err("the destination is empty after expansion".to_owned());
    }
    if sources.len() > 1 && !dest.ends_with('/') && dest != "." && !dest.ends_with("/.") {
        let word = if add { "ADD" } else { "COPY" };
        return Err(format!(
            "When using {word} with more than one source file, the destination must be a \
             directory and end with a /"
        ));
    }
    let owner = c.chown.as_deref().map(|o| g.word(o)).transpose()?;
    let mode = c.chmod.as_deref().map(|m| mode(&g.word(m)?)).transpose()?;
    Ok(Copying {
        under: g.under,
        origin,
        sources,
        dest: absolute(g.cwd(), &dest),
        owner,
        mode,
        link: c.link,
        parents: c.parents,
        excludes: c.excludes.iter().map(|e| g.word(e)).collect::<Result<_>>()?,
        unpack: c.unpack.unwrap_or(add),
        unpack_remote: c.unpack == Some(true),
        checksum: c.checksum.as_deref().map(|s| g.word(s)).transpose()?,
        keep_git_dir: c.keep_git_dir,
    })
}

/// `--checksum` is for one source from elsewhere (BuildKit `dispatchCopy`).
fn sums(c: &CopyFlags, sources: &[Source]) -> Result<()> {
    if c.checksum.is_none() {
        return Ok(());
    }
    match sources {
        [Source::Url(_) | Source::Git(_)] => Ok(()),
        [_] => Err("checksum can't be specified for non-HTTP(S) and non-Git sources".to_owned()),
        _ => Err("checksum can't be specified for multiple sources".to_owned()),
    }
}

fn mode(text: &str) -> Result<u32> {
    let parsed = u32::from_str_radix(text, 8).ok().filter(|m| *m <= 0o7777);
    parsed.ok_or_else(|| {
        format!(
            "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
        )
    })
}

fn source(text: &str, add: bool) -> Source {
    let url = text.starts_with("http://") || text.starts_with("https://");
    let git = ["git@", "git://", "ssh://"].iter().any(|p| text.starts_with(p));
    match () {
        () if add && (git || url && git_path(text)) => Source::Git(text.to_owned()),
        () if add && url => Source::Url(text.to_owned()),
        () => Source::Path(text.to_owned()),
    }
}

fn git_path(url: &str) -> bool {
    url.split(['#', '?']).next().is_some_and(|u| u.ends_with(".git"))
}

/// A RUN before its mounts.
pub fn running(form: &Form, docs: &[Heredoc], network: &str, g: &Ground<'_>) -> Running {
    let mut script = None;
    let args = match (form, docs) {
        (Form::Shell(text), [doc]) if heredoc::word(text).is_some() => {
            if doc.content.starts_with("#!") {
                let path = format!("/dev/pipes/{}", doc.name);
                script = Some((path.clone(), doc.content.clone()));
                vec![path]
            } else {
                config::command_line(&Form::Shell(doc.content.clone()), g.config)
            }
        }
        (Form::Shell(text), docs) => {
            let mut text = text.clone();
            for doc in docs {
                text = format!("{text}\n{}{}", doc.content, doc.name);
            }
            config::command_line(&Form::Shell(text), g.config)
        }
        (Form::Exec(words), _) => words.clone(),
    };
    let named = |list: &[String], name: &str| {
        list.iter().any(|p| p.split_once('=').is_some_and(|(k, _)| k == name))
    };
    let mut env = g.config.env.clone();
    for (name, value) in g.args {
        if !named(&g.config.env, name) {
            crate::scope::set(&mut env, name, value);
        }
    }
    let network = if network.is_empty() { "default" } else { network };
    Running {
        under: g.under,
        args,
        env,
        hidden_env: Vec::new(),
        user: g.config.user.clone(),
        cwd: g.cwd().to_owned(),
        network: network.to_owned(),
        mounts: Vec::new(),
        script,
    }
}

/// `nth` counts the agents' sockets before it in the step: a socket's default place has it.
pub fn mount(
    m: &MountSpec,
    origin: Option<Origin>,
    nth: usize,
    g: &Ground<'_>,
) -> Result<RunMount> {
    let text = |t: &Option<String>| t.as_deref().map(|t| g.word(t)).transpose();
    let (id, source) = (text(&m.id)?, text(&m.source)?);
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let secret_id = || {
        id.clone().or_else(|| source.as_deref().map(base)).or_else(|| m.target.as_deref().map(base))
    };
    let (target, id) = match m.kind {
        MountKind::Secret => {
            let id = secret_id().ok_or("one of source, target required")?;
            (text(&m.target)?.unwrap_or_else(|| format!("/run/secrets/{id}")), id)
        }
        MountKind::Ssh => {
            let id = id.clone().unwrap_or_else(|| "default".to_owned());
            (text(&m.target)?.unwrap_or_else(|| format!("/run/buildkit/ssh_agent.{nth}")), id)
        }
        _ => {
            let target = text(&m.target)?.unwrap_or_default();
            (target.clone(), id.clone().unwrap_or(target))
        }
    };
    let target = absolute(g.cwd(), &target);
    if target == "/" {
        return Err("invalid mount target \"/\"".to_owned());
    }
    Ok(RunMount {
        kind: m.kind,
        target: target.trim_end_matches('/').to_owned(),
        origin,
        source: source.unwrap_or_default(),
        writable: m.writable.unwrap_or(m.kind != MountKind::Bind),
        id,
        sharing: m.sharing,
        size: m.size,
        mode: m.mode,
        uid: m.uid.unwrap_or(0),
        gid: m.gid.unwrap_or(0),
        required: m.required,
        env: m.env.clone(),
    })
}
