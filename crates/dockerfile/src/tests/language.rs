//! Lines, words and instructions. Case classes: BuildKit `parser/testfiles`, `shell/envVarTest`.

use std::collections::BTreeMap;

use crate::ignore::Ignore;
use crate::*;

fn vars() -> BTreeMap<String, String> {
    let pairs = [("A", "a"), ("EMPTY", ""), ("PATHS", "/x/y/z"), ("TWO", "b c")];
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

#[test]
fn words_expand() {
    let table: &[(&str, &str)] = &[
        ("hello", "hello"),
        ("$A-$B.", "a-."),
        ("'$A'\"$A\"\\$A", "$Aa$A"),
        ("${A}b", "ab"),
        ("${NO:-x y}", "x y"),
        ("${EMPTY-x}${EMPTY:-x}", "x"),
        ("${A:+set}${NO+set}", "set"),
        ("${NO:-${A:-q}}", "a"),
        ("${PATHS#*/}|${PATHS##*/}", "x/y/z|z"),
        ("${PATHS%/*}|${PATHS%%/*}", "/x/y|"),
        ("${PATHS/x/X}|${PATHS//\\//-}", "/X/y/z|-x-y-z"),
        ("\"a\\\"b\\c\"", "a\"b\\c"),
        ("a$", "a$"),
        ("\\\\", "\\"),
        ("$$A", "$a"),
    ];
    for (text, wanted) in table {
        let vars = vars();
        let mut expander = Expander::new('\\', &vars);
        assert_eq!(expander.word(text).as_deref(), Ok(*wanted), "{text}");
    }
}

#[test]
fn bad_words_say_why() {
    for text in ["'x", "\"x", "${A", "${}", "${A:", "${A:=x}", "${NO:?}", "${NO?gone}", "${"] {
        let vars = vars();
        assert!(Expander::new('\\', &vars).word(text).is_err(), "{text}");
    }
}

#[test]
fn splits_words_also_in_values() {
    let vars = vars();
    let words = Expander::new('\\', &vars).words("x $TWO '' \"$TWO\"").unwrap();
    assert_eq!(words, ["x", "b", "c", "", "b c"]);
}

#[test]
fn lines_join_and_comments_go() {
    let file = parse("# c\nFROM a\n  RUN x \\\n # gone\n\n  && y \\\\\nCMD z\\  \n w").unwrap();
    let texts: Vec<&str> = file.instructions.iter().map(|i| i.text.as_str()).collect();
    assert_eq!(texts, ["FROM a", "RUN x   && y \\\\", "CMD z w"]);
    assert_eq!(file.empty_lines, [5]);
    assert_eq!((file.instructions[1].line, file.instructions[1].end), (3, 6));
}

#[test]
fn directives_only_at_the_top() {
    let file = parse("#Syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN x `\n y").unwrap();
    assert_eq!(file.syntax.as_deref(), Some("docker/dockerfile:1"));
    assert_eq!(file.instructions[1].text, "RUN x  y");
    assert_eq!(parse("\n# escape=`\nFROM a").unwrap().escape, '\\');
    assert!(parse("# escape=x\nFROM a").is_err());
    assert!(parse("# escape=`\n# escape=`\nFROM a").is_err());
}

#[test]
fn heredocs_take_their_lines() {
    let text = "FROM a\nRUN <<-EOF cat 3<<\"X Y\"\n\ta $B\n\tEOF\nb\nX Y\nCOPY <<one <<'two' /d/\n1\none\n2\ntwo\n";
    let file = parse(text).unwrap();
    let Command::Run { heredocs, .. } = &file.instructions[1].command else { panic!() };
    assert_eq!(heredocs[0].content, "a $B\n");
    assert_eq!((heredocs[1].name.as_str(), heredocs[1].expand), ("X Y", false));
    let Command::Copy(copy) = &file.instructions[2].command else { panic!() };
    assert_eq!(copy.heredocs.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert!(copy.sources.is_empty());
    assert!(parse("FROM a\nRUN <<EOF\nx").unwrap_err().message.contains("unterminated heredoc"));
}

#[test]
fn errors_point_at_the_line() {
    let error = parse("FROM a\n  RUNN x\n").unwrap_err();
    let text = "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)\n   2 |   RUNN x\n     |   ^\nhint: an instruction is one of FROM, RUN, COPY, ADD, ENV, ARG, CMD, ENTRYPOINT and so on";
    assert_eq!(error.to_string(), text);
    let table = [
        ("", "file with no instructions"),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM a AS 1x", "invalid name for build stage"),
        ("FROM a\nCOPY x", "COPY requires at least two arguments"),
        ("FROM a\nCOPY --bad=1 x y", "unknown flag: --bad"),
        ("FROM a\nCOPY --from=a --from=b x y", "duplicate flag specified: from"),
        ("FROM a\nSHELL x", "SHELL requires the arguments to be in JSON form"),
        ("FROM a\nONBUILD FROM b", "FROM isn't allowed as an ONBUILD trigger"),
        ("FROM a\nONBUILD ONBUILD RUN b", "Chaining ONBUILD"),
        ("FROM a\nENV x", "ENV must have two arguments"),
        ("FROM a\nENV a=b c", "can't find = in"),
        ("FROM a\nRUN --mount=type=xx,target=/a y", "unsupported mount type"),
        ("FROM a\nRUN --mount=type=cache y", "invalid mount target"),
        ("FROM a\nHEALTHCHECK --interval=x CMD y", "invalid duration"),
        ("FROM a\nHEALTHCHECK x", "Unknown type \"x\" in HEALTHCHECK"),
        ("FROM a\nRUN", "RUN requires at least one argument"),
    ];
    for (text, wanted) in table {
        let error = parse(text).unwrap_err();
        assert!(error.message.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn forms_flags_and_pairs() {
    let text = "from a\ncmd [\"x\", \"y z\"]\nENTRYPOINT [\"x' ]\nENV a=1 b='2 3' c=4\\ 5\nLABEL k some value\nHEALTHCHECK --interval=1m30s --retries=3 CMD [\"t\"]\nADD --chown=1:2 --checksum=sha256:aa http://x/y /z\nRUN --network=none --mount=type=cache,target=/c,sharing=locked,id=q --mount=type=tmpfs,dst=/t,size=1m go";
    let file = parse(text).unwrap();
    let commands: Vec<&Command> = file.instructions.iter().map(|i| &i.command).collect();
    assert_eq!(commands[1], &Command::Cmd(Form::Exec(vec!["x".into(), "y z".into()])));
    assert_eq!(commands[2], &Command::Entrypoint(Form::Shell("[\"x' ]".into())));
    let Command::Env(pairs) = commands[3] else { panic!() };
    assert_eq!(pairs[1], ("b".into(), "'2 3'".into()));
    assert_eq!(commands[4], &Command::Label(vec![("k".into(), "some value".into())]));
    let Command::Healthcheck(check) = commands[5] else { panic!() };
    assert_eq!((check.interval, check.retries), (90_000_000_000, 3));
    let Command::Add(add) = commands[6] else { panic!() };
    assert_eq!(add.chown.as_deref(), Some("1:2"));
    let Command::Run { mounts, network, .. } = commands[7] else { panic!() };
    assert_eq!((mounts[0].sharing, mounts[1].size), (Sharing::Locked, Some(1 << 20)));
    assert_eq!(network, "none");
}

#[test]
fn patterns_match_as_in_go() {
    let table = [
        ("*.go", "a.go", true),
        ("*.go", "d/a.go", false),
        ("**/*.go", "a.go", true),
        ("**/*.go", "d/e/a.go", true),
        ("a/**", "a/b/c", true),
        ("a?c", "abc", true),
        ("a?c", "a/c", false),
        ("[a-c]x", "bx", true),
        ("[^a-c]x", "bx", false),
        ("a\\*", "a*", true),
        ("[", "[", false),
        ("a**b", "a/x/b", true),
    ];
    for (pattern, name, wanted) in table {
        assert_eq!(glob::matches(pattern, name), wanted, "{pattern} {name}");
    }
}

#[test]
fn ignore_rules_in_order() {
    let ignore = Ignore::parse("# c\n*.md\n!README.md\n/node_modules/\n**/tmp\n!keep/tmp\n.\n");
    let table = [
        ("a.md", true),
        ("README.md", false),
        ("d/a.md", false),
        ("node_modules/x/y", true),
        ("x/y/tmp/z", true),
        ("keep/tmp", false),
    ];
    for (path, wanted) in table {
        assert_eq!(ignore.excludes(path), wanted, "{path}");
    }
}

#[test]
fn checks_have_upstream_names() {
    let text = "# check=skip=WorkdirRelativePath\nFROM --platform=linux/amd64 a as Base\nMAINTAINER me\nWORKDIR x\nENV key value\nENV DB_PASSWORD=x\nEXPOSE 80/TCP\nCMD x\nCMD y\nrun z \\\n\n w\nFROM b AS base\n";
    let file = parse(text).unwrap();
    let rules: Vec<&str> =
        lint(&file, &Check::parse(file.check.as_deref().unwrap_or_default()).unwrap())
            .iter()
            .map(|w| w.rule)
            .collect();
    assert_eq!(
        rules,
        [
            "FromAsCasing",
            "FromPlatformFlagConstDisallowed",
            "StageNameCasing",
            "MaintainerDeprecated",
            "LegacyKeyValueFormat",
            "SecretsUsedInArgOrEnv",
            "SecretsUsedInArgOrEnv",
            "ExposeProtoCasing",
            "JSONArgsRecommended",
            "MultipleInstructionsDisallowed",
            "JSONArgsRecommended",
            "ConsistentInstructionCasing",
            "NoEmptyContinuation",
            "DuplicateStageName"
        ]
    );
}
