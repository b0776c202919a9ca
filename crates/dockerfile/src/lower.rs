//! From stages to the graph of one target (BuildKit `dockerfile2llb/convert.go`).
//!
//! Stages that the target does not need are never looked at.

use std::collections::BTreeMap;

use oci::{Digest, ImageConfig, Platform};

use crate::config::{self, Setting};
use crate::graph::{Base, Copying, Graph, HistoryRow, Node, NodeId, Op, Origin, Source, Step};
use crate::heredoc::Heredoc;
use crate::instruction::{Command, CopyFlags, Form, Instruction, MountKind, MountSpec};
use crate::lint::Warning;
use crate::parse::{self, Dockerfile};
use crate::problem::{Problem, Result};
use crate::scope::{self, Scope};
use crate::stages::{self, Stage};
use crate::steps::{self, Ground};
use crate::undefined;

/// What the builder found for an image's name.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownImage {
    pub id: Digest,
    pub config: ImageConfig,
}

/// What the caller wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// A stage's name or number; `None`: the last.
    pub target: Option<String>,
    pub build_args: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub platform: Platform,
    /// The machine's own (`BUILDPLATFORM`).
    pub build_platform: Platform,
    /// For RUN steps that name none.
    pub network: String,
    pub images: BTreeMap<Wanted, KnownImage>,
    /// `--build-context`, by name.
    pub contexts: BTreeMap<String, NamedContext>,
}

/// What a name of `--build-context` stands for; it comes before stages and images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// `docker-image://name`
    Image(String),
    /// Files that the caller has.
    Folder,
}

/// An image to look up: the name as it stands in the file, expanded, and for which platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    pub name: String,
    /// `os/arch[/variant]`, normalized.
    pub platform: String,
}

/// The graph, or what must be found out first.
#[derive(Debug, Clone, PartialEq)]
pub enum Lowered {
    /// What to look up; then call again with them in [`Options::images`].
    NeedImages(Vec<Wanted>),
    Graph(Box<Graph>),
}

/// Stages are lowered recursively.
const STAGES_MAX: usize = 500;
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub fn lower(file: &Dockerfile, options: &Options) -> Result<Lowered> {
    lower_file(file, options).map_err(|e| e.in_text(&file.text))
}

fn lower_file(file: &Dockerfile, options: &Options) -> Result<Lowered> {
    let (globals, stages) = stages::stages(file)?;
    if stages.len() > STAGES_MAX {
        return Err(Problem::new(0, format!("more than {STAGES_MAX} stages")));
    }
    let target = match &options.target {
        None => stages.len() - 1,
        Some(name) => stages::find_or_index(&stages, name, stages.len()).ok_or_else(|| {
            Problem::new(0, format!("target stage \"{name}\" could not be found"))
        })?,
    };
    let stage_name = stages[target].name.clone().unwrap_or_else(|| "default".to_owned());
    let mut lowering = Lowering {
        escape: file.escape,
        builtin: scope::platform_args(&options.platform, &options.build_platform, &stage_name),
        globals: Vec::new(),
        done: vec![None; stages.len()],
        stages,
        options,
        nodes: Vec::new(),
        bases: BTreeMap::new(),
        missing: Vec::new(),
        steps: Vec::new(),
        warnings: Vec::new(),
    };
    lowering.globals(&globals)?;
    let state = lowering.stage(target)?;
    lowering.finish(state)
}

/// A stage so far.
#[derive(Debug, Clone)]
struct State {
    root: NodeId,
    config: ImageConfig,
    args: Vec<(String, String)>,
    history: Vec<HistoryRow>,
    parent: Option<Digest>,
    cmd_set: bool,
    platform: Platform,
}

struct Lowering<'a> {
    escape: char,
    builtin: BTreeMap<String, String>,
    globals: Vec<(String, String)>,
    stages: Vec<Stage>,
    done: Vec<Option<State>>,
    options: &'a Options,
    nodes: Vec<Node>,
    bases: BTreeMap<Base, NodeId>,
    missing: Vec<Wanted>,
    /// With the stage each belongs to.
    steps: Vec<(usize, Step)>,
    warnings: Vec<Warning>,
}

fn at(line: usize) -> impl Fn(String) -> Problem {
    move |message| Problem::new(line, message)
}

impl Lowering<'_> {
    fn finish(self, mut state: State) -> Result<Lowered> {
        if !self.missing.is_empty() {
            return Ok(Lowered::NeedImages(self.missing));
        }
        // A stage that another one needed was lowered in the midst of that one.
        let mut steps = self.steps;
        steps.sort_by_key(|(stage, _)| *stage);
        let mut steps: Vec<Step> = steps.into_iter().map(|(_, step)| step).collect();
        let labels = &self.options.labels;
        if !labels.is_empty() {
            let shown: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let text = format!("LABEL {}", shown.join(" "));
            steps.push(Step { text: text.clone(), node: None });
            state.history.push(HistoryRow { created_by: text, node: None });
            state.config.config.labels.extend(labels.clone());
        }
        Ok(Lowered::Graph(Box::new(Graph {
            nodes: self.nodes,
            root: state.root,
            config: state.config,
            history: state.history,
            steps,
            parent: state.parent,
            warnings: self.warnings,
        })))
    }

    fn globals(&mut self, instructions: &[Instruction]) -> Result<()> {
        for name in self.builtin.keys() {
            let value = self.builtin[name].clone();
            self.globals.push((name.clone(), value));
        }
        for instruction in instructions {
            let Command::Arg(args) = &instruction.command else { continue };
            for (name, default) in args {
                let scope = Scope { env: &[], args: &self.globals };
                let default = default.as_deref().map(|d| scope.word(d, self.escape)).transpose();
                let default = default.map_err(at(instruction.line))?;
                let value = self.options.build_args.get(name).cloned().or(default);
                if let Some(value) = value {
                    self.globals.push((name.clone(), value));
                }
            }
        }
        Ok(())
    }

    fn stage(&mut self, index: usize) -> Result<State> {
        if let Some(state) = &self.done[index] {
            return Ok(state.clone());
        }
        let stage = self.stages[index].clone();
        let scope = Scope { env: &[], args: &self.globals };
        let image = scope.word(&stage.image, self.escape).map_err(at(stage.line))?;
        if image.is_empty() {
            let text = format!("base name ({}) should not be blank", stage.image);
            return Err(Problem::new(stage.line, text).hint("give the ARG a default before FROM"));
        }
        let platform = self.platform(&stage)?;
        let flag = platform.as_ref().map(|p| format!("--platform={p} ")).unwrap_or_default();
        let from = match &stage.name {
            Some(name) => format!("FROM {flag}{image} AS {name}"),
            None => format!("FROM {flag}{image}"),
        };
        let platform = platform.unwrap_or_else(|| self.options.platform.clone());
        let mut state = match self.named(&image, &platform, stage.line)? {
            Some(state) => state,
            None => match stages::find(&self.stages, &image, index) {
                Some(below) => State { cmd_set: false, ..self.stage(below)? },
                None => self.image(&image, &platform, stage.line)?,
            },
        };
        self.steps.push((index, Step { text: from, node: Some(state.root) }));
        let triggers = std::mem::take(&mut state.config.config.on_build);
        for text in triggers {
            let trigger = parse::trigger(&text, self.escape, stage.line)?;
            self.instruction(&trigger, &stage, &mut state)?;
        }
        for instruction in &stage.instructions {
            self.instruction(instruction, &stage, &mut state)?;
        }
        self.done[index] = Some(state.clone());
        Ok(state)
    }

    /// `FROM --platform`, expanded and parsed.
    fn platform(&self, stage: &Stage) -> Result<Option<Platform>> {
        let Some(text) = &stage.platform else { return Ok(None) };
        let scope = Scope { env: &[], args: &self.globals };
        let word = scope.word(text, self.escape).map_err(at(stage.line))?;
        if word.is_empty() {
            let text = format!("empty platform value from expression {text}");
            return Err(Problem::new(stage.line, text).hint("give the ARG a default before FROM"));
        }
        let parsed = Platform::parse(&word);
        parsed
            .map(Some)
            .map_err(|e| Problem::new(stage.line, format!("failed to parse platform {word}: {e}")))
    }

    /// FROM a named context; files of one lie on nothing.
    fn named(&mut self, name: &str, platform: &Platform, line: usize) -> Result<Option<State>> {
        match self.context(name) {
            None => Ok(None),
            Some(NamedContext::Image(image)) => self.image(&image, platform, line).map(Some),
            Some(NamedContext::Folder) => {
                let mut state = self.image("scratch", platform, line)?;
                let op = Op::Copy(Copying {
                    under: state.root,
                    origin: Origin::Named(name.to_owned()),
                    sources: vec![Source::Path(".".to_owned())],
                    dest: "/".to_owned(),
                    ..Copying::default()
                });
                let (stage, platform) = (name.to_owned(), platform.clone());
                self.nodes.push(Node { op, line, stage, platform });
                state.root = self.nodes.len() - 1;
                let created_by = format!("FROM context {name}");
                state.history.push(HistoryRow { created_by, node: Some(state.root) });
                Ok(Some(state))
            }
        }
    }

    fn context(&self, name: &str) -> Option<NamedContext> {
        let same = |(known, _): &(&String, &NamedContext)| known.eq_ignore_ascii_case(name);
        self.options.contexts.iter().find(same).map(|(_, context)| context.clone())
    }

    fn image(&mut self, name: &str, platform: &Platform, line: usize) -> Result<State> {
        let mut config = ImageConfig {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone(),
            ..ImageConfig::default()
        };
        let wanted = Wanted { name: name.to_owned(), platform: platform.to_string() };
        let mut base = Base::Scratch;
        let mut parent = None;
        match self.options.images.get(&wanted) {
            _ if name == "scratch" => {}
            Some(known) => {
                config = known.config.clone();
                base = Base::Image(known.id.clone());
                parent = Some(known.id.clone());
            }
            None if !self.missing.contains(&wanted) => self.missing.push(wanted),
            None => {}
        }
        // Images without one get the usual (BuildKit `toDispatchState`).
        if !config.config.env.iter().any(|e| e.starts_with("PATH=")) {
            config.config.env.push(DEFAULT_PATH.to_owned());
        }
        let root = self.base(base, platform, line);
        let (args, history) = (Vec::new(), Vec::new());
        Ok(State {
            root,
            config,
            args,
            history,
            parent,
            cmd_set: false,
            platform: platform.clone(),
        })
    }

    fn base(&mut self, base: Base, platform: &Platform, line: usize) -> NodeId {
        if let Some(id) = self.bases.get(&base) {
            return *id;
        }
        let (op, stage) = (Op::Base(base.clone()), String::new());
        self.nodes.push(Node { op, line, stage, platform: platform.clone() });
        self.bases.insert(base, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// What `--from=NAME` means: a stage before this one, else an image.
    fn origin(&mut self, name: &str, stage: &Stage, line: usize) -> Result<Origin> {
        let platform = self.options.platform.clone();
        match self.context(name) {
            Some(NamedContext::Folder) => return Ok(Origin::Named(name.to_owned())),
            Some(NamedContext::Image(image)) => {
                return Ok(Origin::Node(self.image(&image, &platform, line)?.root));
            }
            None => {}
        }
        if name.eq_ignore_ascii_case("context")
            && stages::find(&self.stages, name, stage.index).is_none()
        {
            return Ok(Origin::Context);
        }
        if let Some(found) = stages::find_or_index(&self.stages, name, stage.index) {
            return Ok(Origin::Node(self.stage(found)?.root));
        }
        if stage.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name)) {
            return Err(Problem::new(line, format!("stage \"{name}\" refers to itself")));
        }
        if name.parse::<usize>().is_ok() {
            return Err(Problem::new(line, format!("invalid stage index {name}")));
        }
        if name == "scratch" {
            return Ok(Origin::Node(self.base(Base::Scratch, &platform, line)));
        }
        Ok(Origin::Node(self.image(name, &platform, line)?.root))
    }

    fn instruction(&mut self, i: &Instruction, stage: &Stage, state: &mut State) -> Result<()> {
        let text = i.text.clone();
        let found = undefined::vars(i, &self.ground(state).scope(), self.escape);
        self.warnings.extend(found);
        let node = match &i.command {
            Command::Run { form, heredocs, mounts, network } => {
                let run = Run { form, heredocs, mounts, network };
                let op = self.run(&run, i.line, stage, state)?;
                Some(self.push(op, i, stage, state))
            }
            Command::Copy(c) => {
                let op = self.copy(c, false, i.line, stage, state)?;
                Some(self.push(op, i, stage, state))
            }
            Command::Add(c) => {
                let op = self.copy(c, true, i.line, stage, state)?;
                Some(self.push(op, i, stage, state))
            }
            Command::Workdir(path) => {
                let path = steps::workdir(path, &self.ground(state)).map_err(at(i.line))?;
                state.config.config.working_dir.clone_from(&path);
                let op = Op::Workdir { under: state.root, path };
                Some(self.push(op, i, stage, state))
            }
            _ => {
                self.configure(i, state)?;
                None
            }
        };
        self.steps.push((stage.index, Step { text, node }));
        Ok(())
    }

    fn ground<'s>(&self, state: &'s State) -> Ground<'s> {
        let (config, args) = (&state.config.config, &state.args);
        Ground { under: state.root, config, args, escape: self.escape }
    }

    fn push(&mut self, op: Op, i: &Instruction, stage: &Stage, state: &mut State) -> NodeId {
        let created_by = created_by(&op, &i.text, state);
        let name = stage.name.clone().unwrap_or_else(|| stage.index.to_string());
        let platform = state.platform.clone();
        self.nodes.push(Node { op, line: i.line, stage: name, platform });
        state.root = self.nodes.len() - 1;
        state.history.push(HistoryRow { created_by, node: Some(state.root) });
        state.root
    }

    fn run(&mut self, run: &Run<'_>, line: usize, stage: &Stage, state: &State) -> Result<Op> {
        let network = match run.network.as_str() {
            "" => &self.options.network,
            network => network,
        };
        let mut op = steps::running(run.form, run.heredocs, network, &self.ground(state));
        for m in run.mounts {
            let from = m.from.as_deref().map(|f| self.ground(state).word(f)).transpose();
            let origin = match from.map_err(at(line))? {
                Some(name) => Some(self.origin(&name, stage, line)?),
                None if m.kind == MountKind::Bind => Some(Origin::Context),
                None => None,
            };
            let nth = op.mounts.iter().filter(|m| m.kind == MountKind::Ssh).count();
            let mount = steps::mount(m, origin, nth, &self.ground(state)).map_err(at(line))?;
            op.mounts.push(mount);
        }
        let proxies = self.options.build_args.iter().filter(|(k, _)| scope::is_proxy(k));
        op.hidden_env = proxies.map(|(k, v)| format!("{k}={v}")).collect();
        Ok(Op::Run(op))
    }

    fn copy(
        &mut self,
        c: &CopyFlags,
        add: bool,
        line: usize,
        stage: &Stage,
        state: &State,
    ) -> Result<Op> {
        let origin = match &c.from {
            Some(name) => self.origin(name, stage, line)?,
            None => Origin::Context,
        };
        steps::copying(c, add, origin, &self.ground(state)).map(Op::Copy).map_err(at(line))
    }

    fn configure(&mut self, i: &Instruction, state: &mut State) -> Result<()> {
        let failed = at(i.line);
        match &i.command {
            Command::Arg(args) => return self.declare(args, state).map_err(failed),
            Command::Maintainer(author) => {
                state.config.author.clone_from(author);
                let created_by = format!("MAINTAINER {author}");
                state.history.push(HistoryRow { created_by, node: None });
                return Ok(());
            }
            _ => {}
        }
        let setting = Setting { escape: self.escape, args: &state.args, cmd_set: state.cmd_set };
        let applied = config::apply(&i.command, &mut state.config.config, &setting);
        if let Some(applied) = applied.map_err(failed)? {
            state.history.push(HistoryRow { created_by: applied.created_by, node: None });
        }
        state.cmd_set |= matches!(i.command, Command::Cmd(_));
        Ok(())
    }

    /// `ARG name[=default]`: the caller's value, the default, the global one, the built-in one.
    fn declare(
        &self,
        args: &[(String, Option<String>)],
        state: &mut State,
    ) -> std::result::Result<(), String> {
        for (name, default) in args {
            let word = |d: &str| self.ground(state).word(d);
            let default = default.as_deref().map(word).transpose()?;
            let global = || self.globals.iter().rev().find(|(k, _)| k == name).map(|g| g.1.clone());
            let value =
                self.options.build_args.get(name).cloned().or(default.clone()).or_else(global);
            let shown = default.map_or_else(|| name.clone(), |d| format!("{name}={d}"));
            state.history.push(HistoryRow { created_by: format!("ARG {shown}"), node: None });
            if let Some(value) = value {
                state.args.retain(|(k, _)| k != name);
                state.args.push((name.clone(), value));
            }
        }
        Ok(())
    }
}

/// The parts of a RUN.
struct Run<'a> {
    form: &'a Form,
    heredocs: &'a [Heredoc],
    mounts: &'a [MountSpec],
    network: &'a String,
}

/// The row of `docker history`, in BuildKit's words.
fn created_by(op: &Op, text: &str, state: &State) -> String {
    match op {
        Op::Run(run) => {
            let args: Vec<String> = state
                .args
                .iter()
                .filter(|(k, _)| !scope::is_proxy(k))
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            let count = if args.is_empty() {
                String::new()
            } else {
                format!("|{} {} ", args.len(), args.join(" "))
            };
            format!("RUN {count}{} # buildkit", run.args.join(" "))
        }
        Op::Workdir { path, .. } => format!("WORKDIR {path}"),
        Op::Copy(_) => format!("{text} # buildkit"),
        Op::Base(_) => text.to_owned(),
    }
}
