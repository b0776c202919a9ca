//! Hostile input: no panic, bounded work.

use std::collections::BTreeMap;

use oci::Platform;
use proptest::prelude::*;

use crate::ignore::Ignore;
use crate::*;

fn options() -> Options {
    Options {
        target: None,
        build_args: BTreeMap::new(),
        labels: BTreeMap::new(),
        platform: Platform::parse("linux/amd64").unwrap(),
        build_platform: Platform::parse("linux/amd64").unwrap(),
        contexts: BTreeMap::new(),
        network: String::new(),
        images: BTreeMap::new(),
    }
}

fn piece() -> impl Strategy<Value = String> {
    let fixed = [
        "FROM scratch",
        "FROM 0",
        "RUN ",
        "COPY ",
        "ADD ",
        "ENV ",
        "ARG ",
        "ONBUILD ",
        "LABEL ",
        "--from=0 ",
        "--mount=type=bind,target=",
        "<<EOF",
        "EOF",
        "\\",
        "\n",
        " ",
        "${",
        "}",
        "$A",
        ":-",
        "//",
        "%%",
        "'",
        "\"",
        "[\"a\"]",
        "A=b",
        "#",
        "# escape=`\n",
        "--",
        "é",
        "HEALTHCHECK ",
    ];
    prop_oneof![4 => proptest::sample::select(fixed.to_vec()).prop_map(str::to_owned), 1 => ".{0,6}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_parsed_or_refused(pieces in proptest::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        for text in [text.clone(), format!("FROM scratch\n{text}")] {
            match parse(&text) {
                Ok(file) => {
                    drop(lint(&file, &Check::default()));
                    drop(lower(&file, &options()).map_err(|e| e.to_string()));
                }
                Err(e) => drop(e.to_string()),
            }
        }
    }

    #[test]
    fn patterns_never_hang(pattern in "[a*?\\[\\]\\\\/-]{0,40}", name in "[a/]{0,60}") {
        glob::matches(&pattern, &name);
        Ignore::parse(&pattern).excludes(&name);
    }
}

#[test]
fn values_cannot_explode() {
    let mut text = "FROM scratch\nENV a=xxxxxxxxxxxxxxxx\n".to_owned();
    text.push_str(&"ENV a=$a$a\n".repeat(60));
    let error = lower(&parse(&text).unwrap(), &options()).unwrap_err();
    assert!(error.message.contains("larger than"), "{error}");
    let deep = format!("FROM scratch\nENV a={}", "${a:-".repeat(5000));
    assert!(lower(&parse(&deep).unwrap(), &options()).is_err());
}
