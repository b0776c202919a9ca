use super::*;
use proptest::prelude::*;

const SUM: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Rows from distribution/reference `normalize_test.go` and `reference_test.go`.
#[test]
fn normalised_and_familiar() {
    let rows = [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("docker/docker", "docker.io/docker/docker", "docker/docker"),
        ("library/debian", "docker.io/library/debian", "debian"),
        ("docker.io/fluent", "docker.io/library/fluent", "fluent"),
        ("index.docker.io/library/debian", "docker.io/library/debian", "debian"),
        ("localhost/x", "localhost/x", "localhost/x"),
        ("localhost:5000/x/y:t", "localhost:5000/x/y:t", "localhost:5000/x/y:t"),
        (
            "127.0.0.1:5000/docker/docker",
            "127.0.0.1:5000/docker/docker",
            "127.0.0.1:5000/docker/docker",
        ),
        ("[2001:db8::1]:5000/repo", "[2001:db8::1]:5000/repo", "[2001:db8::1]:5000/repo"),
        ("Uppercase/lower", "Uppercase/lower", "Uppercase/lower"),
        ("a--b__c/e.f", "docker.io/a--b__c/e.f", "a--b__c/e.f"),
        ("docker.io/library/foo/bar", "docker.io/library/foo/bar", "library/foo/bar"),
    ];
    for (text, full, familiar) in rows {
        let r = Reference::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(r.to_string(), full);
        assert_eq!(r.familiar(), familiar);
        assert_eq!(Reference::parse(&r.familiar()).unwrap(), r);
    }
    let both = Reference::parse(&format!("x:t@{SUM}")).unwrap();
    assert_eq!((both.tag(), both.digest().map(Digest::as_str)), (Some("t"), Some(SUM)));
    assert_eq!(Reference::parse_tagged("x").unwrap().tag(), Some("latest"));
    assert_eq!(both.with_tag("v2").unwrap().familiar(), "x:v2");
}

#[test]
fn refusals_speak_upstreams_words() {
    let id = "a".repeat(64);
    let rows = [
        ("", "invalid reference format"),
        (":justtag", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("-foo/bar", "invalid reference format"),
        ("foo/bar-", "invalid reference format"),
        ("foo___bar", "invalid reference format"),
        ("x:", "invalid reference format"),
        ("x:-t", "invalid reference format"),
        ("x@sha256:abc", "invalid reference format"),
        ("x y", "invalid reference format"),
        ("https://github.com/docker/docker", "invalid reference format"),
        ("Docker", "invalid reference format: repository name (library/Docker) must be lowercase"),
        ("repo@sha256:ffffffffffffffffffffffffffffffffff", "invalid checksum digest length"),
        (
            "validname@invaliddigest:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "unsupported digest algorithm",
        ),
        (
            &id,
            &format!("invalid repository name ({id}), cannot specify 64-byte hexadecimal strings"),
        ),
        (&format!("a/{}", "b".repeat(256)), "repository name must not be more than 255 characters"),
    ];
    for (text, want) in rows {
        assert_eq!(Reference::parse(text).unwrap_err().to_string(), want, "{text}");
    }
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC{0,80}") {
        let _ = Reference::parse(&text);
    }

    #[test]
    fn what_parses_round_trips(text in "([a-zA-Z0-9.:\\[\\]-]{1,12}/)?[a-z0-9._/-]{1,20}(:[a-zA-Z0-9._-]{1,9})?") {
        if let Ok(r) = Reference::parse(&text) {
            prop_assert_eq!(&Reference::parse(&r.to_string()).unwrap(), &r);
            prop_assert_eq!(&Reference::parse(&r.familiar()).unwrap(), &r);
        }
    }
}
