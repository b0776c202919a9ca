//! Files to graphs.

use std::collections::BTreeMap;

use oci::{Digest, ImageConfig, Platform};

use crate::graph::Op;
use crate::*;

fn wanted(name: &str, platform: &str) -> Wanted {
    Wanted { name: name.into(), platform: platform.into() }
}

fn options(args: &[(&str, &str)]) -> Options {
    let mut config = ImageConfig::default();
    config.config.env = vec!["PATH=/bin".into()];
    config.config.cmd = Some(vec!["sh".into()]);
    let mut with_trigger = config.clone();
    with_trigger.config.on_build = vec!["RUN triggered".into(), "ENV t=1".into()];
    let known = |name: &[u8], config| KnownImage { id: Digest::sha256(name), config };
    Options {
        target: None,
        build_args: args.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        labels: BTreeMap::new(),
        platform: Platform::parse("linux/amd64").unwrap(),
        build_platform: Platform::parse("linux/amd64").unwrap(),
        network: String::new(),
        images: [
            (wanted("busybox", "linux/arm64"), known(b"busybox-arm", config.clone())),
            (wanted("busybox", "linux/amd64"), known(b"busybox", config)),
            (wanted("parent", "linux/amd64"), known(b"parent", with_trigger)),
        ]
        .into(),
        contexts: BTreeMap::new(),
    }
}

fn graph(text: &str, options: &Options) -> Graph {
    match lower(&parse(text).unwrap(), options).unwrap() {
        Lowered::Graph(graph) => *graph,
        Lowered::NeedImages(names) => panic!("needs {names:?}"),
    }
}

fn runs(graph: &Graph) -> Vec<String> {
    let run = |n: &Node| match &n.op {
        Op::Run(run) => Some(run.args.join(" ")),
        _ => None,
    };
    graph.nodes.iter().filter_map(run).collect()
}

#[test]
fn asks_for_images_then_lowers_only_what_is_needed() {
    let text = "FROM unused AS u\nRUN x\nFROM other\nCOPY --from=third /a /b";
    let wanted =
        Lowered::NeedImages(vec![wanted("other", "linux/amd64"), wanted("third", "linux/amd64")]);
    assert_eq!(lower(&parse(text).unwrap(), &options(&[])).unwrap(), wanted);
}

#[test]
fn multi_stage_shares_what_is_below() {
    let text = "FROM busybox AS base\nENV A=1\nFROM base AS one\nRUN a\nFROM base\nRUN b $A\nCOPY --from=ONE --chmod=755 x y/\nCOPY --from=0 z w\n";
    let graph = graph(text, &options(&[]));
    assert_eq!(runs(&graph), ["/bin/sh -c b $A", "/bin/sh -c a"]);
    let Op::Copy(copy) = &graph.nodes[3].op else { panic!("{:?}", graph.nodes) };
    assert_eq!((copy.dest.as_str(), copy.mode), ("/y/", Some(0o755)));
    assert_eq!(copy.origin, Origin::Node(2));
    assert_eq!(graph.config.config.env, ["PATH=/bin", "A=1"]);
    assert!(
        graph.nodes.iter().enumerate().all(|(n, node)| node.op.inputs().iter().all(|i| *i < n))
    );
}

#[test]
fn args_have_their_scopes() {
    let text = "ARG img=busybox\nARG v=global\nFROM $img\nRUN ${v}\nARG v\nENV e=$v\nARG e=arg\nARG w=$e\nENV f=$w$e\nRUN x";
    let g = graph(text, &options(&[("HTTP_PROXY", "p")]));
    assert_eq!(g.config.config.env, ["PATH=/bin", "e=global", "f=globalglobal"]);
    let Op::Run(run) = &g.nodes[2].op else { panic!() };
    assert_eq!(run.env, ["PATH=/bin", "e=global", "f=globalglobal", "v=global", "w=global"]);
    assert_eq!(run.hidden_env, ["HTTP_PROXY=p"]);
    let g = graph(text, &options(&[("v", "mine")]));
    assert_eq!(g.config.config.env[1], "e=mine");
    assert!(
        g.history.last().unwrap().created_by.starts_with("RUN |3 v=mine e=arg w=mine /bin/sh -c x")
    );
}

#[test]
fn configuration_needs_no_node() {
    let text = "FROM scratch\nWORKDIR /a\nWORKDIR b\nUSER u:g\nEXPOSE 80 90-91/udp\nVOLUME [\"/v\"]\nLABEL a=\"b c\"\nSTOPSIGNAL SIGINT\nSHELL [\"/bin/x\",\"-e\"]\nENTRYPOINT e\nCMD [\"c\"]\nHEALTHCHECK NONE\nONBUILD RUN q\nMAINTAINER me";
    let g = graph(text, &options(&[]));
    assert_eq!(g.nodes.len(), 3);
    let c = &g.config.config;
    assert_eq!((c.working_dir.as_str(), c.user.as_str()), ("/a/b", "u:g"));
    assert_eq!(c.exposed_ports.keys().collect::<Vec<_>>(), ["80/tcp", "90/udp", "91/udp"]);
    assert_eq!(c.entrypoint.as_deref().unwrap(), ["/bin/x", "-e", "e"]);
    assert_eq!(c.labels["a"], "b c");
    assert_eq!(c.on_build, ["RUN q"]);
    assert_eq!(g.config.author, "me");
    assert_eq!(g.steps.len(), 14);
}

#[test]
fn entrypoint_clears_an_inherited_cmd_only() {
    let inherited = graph("FROM busybox\nENTRYPOINT [\"e\"]", &options(&[]));
    assert_eq!(inherited.config.config.cmd, None);
    let own = graph("FROM busybox\nCMD [\"c\"]\nENTRYPOINT [\"e\"]", &options(&[]));
    assert_eq!(own.config.config.cmd.unwrap(), ["c"]);
}

#[test]
fn triggers_run_first_and_once() {
    let g = graph("FROM parent AS p\nRUN own\nFROM p\nRUN last", &options(&[]));
    assert_eq!(runs(&g), ["/bin/sh -c triggered", "/bin/sh -c own", "/bin/sh -c last"]);
    assert!(g.config.config.on_build.is_empty());
    assert!(g.config.config.env.contains(&"t=1".to_owned()));
}

#[test]
fn heredocs_run_and_copy() {
    let text = "FROM busybox\nENV A=1\nRUN <<EOF\necho $A\nEOF\nRUN <<EOF\n#!/usr/bin/awk\nx\nEOF\nRUN cat <<X\ny\nX\nCOPY <<f <<'g' /d/\n$A\nf\n$A\ng\n";
    let g = graph(text, &options(&[]));
    assert_eq!(runs(&g), ["/bin/sh -c echo $A\n", "/dev/pipes/EOF", "/bin/sh -c cat <<X\ny\nX"]);
    let Op::Copy(copy) = &g.nodes[4].op else { panic!() };
    let inline = |n: &str, c: &str| Source::Inline { name: n.into(), content: c.into() };
    assert_eq!(copy.sources, [inline("f", "1\n"), inline("g", "$A\n")]);
}

#[test]
fn targets_and_their_errors() {
    let mut options = options(&[]);
    options.target = Some("A".into());
    let text = "FROM busybox AS a\nRUN 1\nFROM a\nRUN 2";
    assert_eq!(runs(&graph(text, &options)), ["/bin/sh -c 1"]);
    options.target = Some("none".into());
    let error = lower(&parse(text).unwrap(), &options).unwrap_err();
    assert_eq!(error.to_string(), "target stage \"none\" could not be found");
    options.target = None;
    for (text, wanted) in [
        ("FROM $x", "base name ($x) should not be blank"),
        ("RUN x", "no build stage in current context"),
        ("FROM busybox\nCOPY a b c", "When using COPY with more than one source file"),
        ("FROM busybox\nCOPY --from=7 a b", "invalid stage index 7"),
        ("FROM busybox AS me\nCOPY --from=me a b", "refers to itself"),
        ("FROM busybox\nEXPOSE x", "invalid containerPort: x"),
        ("FROM busybox\nCOPY --chmod=9 a b", "invalid chmod parameter"),
    ] {
        let error = lower(&parse(text).unwrap(), &options).unwrap_err();
        assert!(error.message.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn platforms_of_stages() {
    let text = "ARG p=linux/arm64\nFROM --platform=$p busybox AS a\nRUN a\nFROM --platform=$BUILDPLATFORM busybox\nCOPY --from=a /x /x\nRUN b";
    let g = graph(text, &options(&[]));
    let shown: Vec<String> = g.nodes.iter().map(|n| n.platform.to_string()).collect();
    assert_eq!(shown[0], "linux/amd64");
    assert_eq!(g.nodes.iter().filter(|n| n.platform.architecture == "arm64").count(), 2);
    let bases = g.nodes.iter().filter(|n| matches!(n.op, Op::Base(_))).count();
    assert_eq!(bases, 2);
    for bad in ["FROM --platform=a/b/c/d busybox", "FROM --platform=$none busybox"] {
        let file = parse(bad).unwrap();
        assert_eq!(lower(&file, &options(&[])).unwrap_err().line, 1);
    }
}

#[test]
fn named_contexts_come_first() {
    let mut options = options(&[]);
    options.contexts.insert("files".into(), NamedContext::Folder);
    options.contexts.insert("other".into(), NamedContext::Image("busybox".into()));
    let g = graph("FROM other AS files\nCOPY --from=FILES a b", &options);
    let Op::Copy(copy) = &g.nodes[1].op else { panic!("{:?}", g.nodes) };
    assert_eq!(copy.origin, Origin::Named("FILES".into()));
    let g = graph("FROM files\nCMD x", &options);
    let Op::Copy(copy) = &g.nodes[1].op else { panic!("{:?}", g.nodes) };
    assert_eq!((copy.dest.as_str(), g.root), ("/", 1));
}

#[test]
fn check_options() {
    let check = Check::parse("skip=StageNameCasing, FromAsCasing;error=true").unwrap();
    assert!(check.error && check.skips("FromAsCasing") && !check.skips("UndefinedVar"));
    assert!(Check::parse("skip=all").unwrap().skips("UndefinedVar"));
    assert_eq!(Check::parse(" ").unwrap(), Check::default());
    for bad in ["skip", "error=maybe", "colour=red"] {
        assert!(Check::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn undefined_names_are_told() {
    let text = "ARG image\nARG base=busybox\nFROM $base AS a\nARG known\nENV x=$known$PATH y=$nope\nWORKDIR ${also:-/w}\nFROM a\nLABEL l=$x m=$missing\n";
    let g = graph(text, &options(&[("known", "1")]));
    let shown: Vec<_> = g.warnings.iter().map(|w| (w.line, w.detail.as_str())).collect();
    let wanted =
        [(5, "Usage of undefined variable '$nope'"), (8, "Usage of undefined variable '$missing'")];
    assert_eq!(shown, wanted);
    let text =
        "ARG empty\nFROM $empty AS one\nFROM busybox:$tag\nFROM --platform=$BUILDPLATFORM x\n";
    let found = lint(&parse(text).unwrap(), &Check::default());
    let shown: Vec<_> = found.iter().map(|w| (w.line, w.rule)).collect();
    assert_eq!(shown, [(2, "InvalidDefaultArgInFrom"), (3, "UndefinedArgInFrom")]);
    let ignore = ignore::Ignore::parse("secret\n*.log");
    let file = parse("FROM scratch\nCOPY secret/x a.txt /\nADD b.log http://h/c.log /\n").unwrap();
    let shown: Vec<_> = ignored(&file, &ignore).iter().map(|w| w.line).collect();
    assert_eq!(shown, [2, 3]);
}
