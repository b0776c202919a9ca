//! The table itself: every row can be read, helped and completed.

use crate::command::{Command, Takes};
use crate::parse::{Call, Chain, Voice, Wish, parse};
use crate::{BOXSHIP, KUBECTL, complete, help};
use std::ffi::OsString;

fn every(chain: &Chain, look: &mut dyn FnMut(&Chain)) {
    look(chain);
    for sub in chain.last().commands() {
        let mut longer = chain.clone();
        longer.0.push(sub);
        every(&longer, look);
    }
}

#[test]
fn every_row_teaches_by_example_and_has_no_flag_twice() {
    every(&Chain(vec![&BOXSHIP]), &mut |chain| {
        let (command, path) = (chain.last(), chain.path());
        assert!(!command.about.is_empty(), "{path} says nothing");
        if command.run.is_some() {
            assert!(!command.examples.is_empty(), "{path} has no example");
            assert!(help::help(chain).contains("Examples:"), "{path}");
        }
        let flags: Vec<_> = command.own_flags().chain(chain.globals()).collect();
        for (at, flag) in flags.iter().enumerate() {
            // A command's own flag hides a global one of the same name or letter.
            let own = command.own_flags().count();
            let others = flags[at + 1..].iter().enumerate();
            for (_, other) in others.filter(|(to, _)| at + 1 + to < own) {
                assert_ne!(flag.long, other.long, "{path}");
                let same_letter = flag.short.is_some() && flag.short == other.short;
                assert!(!same_letter, "{path}: --{} and --{}", flag.long, other.long);
            }
            assert!(flag.takes != Takes::One(""), "{path}: --{}", flag.long);
        }
    });
}

#[test]
fn examples_can_be_parsed() {
    every(&Chain(vec![&BOXSHIP]), &mut |chain| {
        for (typed, _) in chain.last().examples {
            // What a shell does with quotes and pipes is not looked at.
            if typed.contains(['\'', '"', '<', '>', '$']) {
                continue;
            }
            let names = chain.0.iter().skip(1).map(|command| command.name);
            let words = names.chain(typed.split_whitespace()).map(OsString::from);
            let wish = parse(&BOXSHIP, Voice::Boxship, words);
            let is_run = matches!(wish, Ok(Wish::Run(_)));
            assert!(is_run, "`{} {typed}`: {:?}", chain.path(), wish.err());
        }
    });
}

fn call(root: &'static Command, line: &str) -> Result<Call, String> {
    match parse(root, Voice::Docker, line.split_whitespace().map(OsString::from)) {
        Ok(Wish::Run(call)) => Ok(*call),
        Ok(Wish::Help(chain)) => Err(format!("help {}", chain.path())),
        Err(failure) => Err(failure.what),
    }
}

#[test]
fn words_as_go_programs_take_them() {
    let run = call(&BOXSHIP, "run -it --rm=false -eA=1 -e B=2 --memory=1g img -v --x").unwrap();
    assert!(run.has("interactive") && run.has("tty") && !run.has("rm"));
    assert_eq!(run.all("env"), ["A=1", "B=2"]);
    assert_eq!(run.get("memory"), Some("1g"));
    assert_eq!(run.args, ["img", "-v", "--x"]);
    let get = call(&KUBECTL, "-n shop get pods -owide -l a=b --kubeconfig x").unwrap();
    assert_eq!((get.get("namespace"), get.get("output")), (Some("shop"), Some("wide")));
    let exec = call(&KUBECTL, "exec -it web -- ls -l --all").unwrap();
    assert_eq!((exec.args.join(" "), exec.dash), ("web ls -l --all".into(), Some(1)));
    let delete = call(&KUBECTL, "delete pod a --cascade --wait=false").unwrap();
    assert_eq!((delete.get("cascade"), delete.has("wait")), (Some("background"), false));
}

#[test]
fn what_is_unknown_is_named_with_what_there_is() {
    let failure = |line: &str| {
        let words = line.split_whitespace().map(OsString::from);
        parse(&BOXSHIP, Voice::Boxship, words).err().map(|f| (f.what, f.hint.unwrap_or_default()))
    };
    let (what, hint) = failure("rnu x").unwrap();
    assert_eq!(what, "boxship: 'rnu' is not a command");
    assert!(hint.starts_with("did you mean `boxship run`? there are: run, exec"), "{hint}");
    let (what, hint) = failure("ps --al").unwrap();
    assert_eq!(what, "unknown flag: --al");
    assert!(hint.starts_with("did you mean --all? there are: --all"), "{hint}");
    assert_eq!(failure("rename a").unwrap().0, "'boxship rename' requires 2 arguments");
    assert_eq!(
        failure("ps --all=maybe").unwrap().0,
        "invalid argument \"maybe\" for \"--all\" flag: it is true or false"
    );
    assert_eq!(call(&BOXSHIP, "network").err().unwrap(), "help boxship network");
}

#[test]
fn completions_know_every_command() {
    let scripts = [complete::bash(&BOXSHIP), complete::fish(&BOXSHIP)];
    every(&Chain(vec![&BOXSHIP]), &mut |chain| {
        let path = chain.0.iter().skip(1).map(|c| c.name).collect::<Vec<_>>().join(" ");
        assert!(path.is_empty() || scripts[0].contains(&format!("\"{path}\") words=")), "{path}");
        assert!(scripts[1].contains(chain.last().name), "{path}");
    });
}

proptest::proptest! {
    #[test]
    fn any_words_are_no_panic(words in proptest::collection::vec("[a-z=-]{0,8}", 0..6)) {
        let _ = parse(&BOXSHIP, Voice::Boxship, words.into_iter().map(OsString::from));
    }
}
