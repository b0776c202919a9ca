use super::*;
use proptest::prelude::*;

fn backend(name: &str) -> Arc<Backend> {
    let endpoints = Ok(Vec::new());
    Arc::new(Backend { name: name.into(), protocol: BackendProtocol::Http1, endpoints })
}

fn rule(host: &str, path: PathRule, name: &str) -> IngressRule {
    IngressRule { host: host.into(), path, backend: backend(name) }
}

fn exact(path: &str) -> PathRule {
    PathRule::Exact(path.into())
}

fn prefix(path: &str) -> PathRule {
    PathRule::Prefix(path.into())
}

fn found(routes: &Routes, host: &str, path: &str) -> String {
    match routes.find(host, path) {
        Found::Backend(backend) => backend.name.clone(),
        Found::Nothing => "-".into(),
    }
}

/// The table of the Ingress documentation ("Examples" of path types), one row each.
#[test]
fn paths_match_as_documented() {
    for (rule_, path, wanted) in [
        (prefix("/"), "/anything", true),
        (exact("/foo"), "/foo", true),
        (exact("/foo"), "/bar", false),
        (exact("/foo"), "/foo/", false),
        (exact("/foo/"), "/foo", false),
        (prefix("/foo"), "/foo", true),
        (prefix("/foo"), "/foo/", true),
        (prefix("/foo/"), "/foo", true),
        (prefix("/foo/"), "/foo/", true),
        (prefix("/aaa/bb"), "/aaa/bbb", false),
        (prefix("/aaa/bbb"), "/aaa/bbb", true),
        (prefix("/aaa/bbb/"), "/aaa/bbb", true),
        (prefix("/aaa/bbb"), "/aaa/bbb/", true),
        (prefix("/aaa/bbb"), "/aaa/bbb/ccc", true),
        (prefix("/aaa/bbb"), "/aaa/bbbxyz", false),
        (prefix("/aaa"), "/", false),
    ] {
        let input =
            IngressInput { rules: vec![rule("", rule_.clone(), "a")], ..Default::default() };
        let wanted = if wanted { "a" } else { "-" };
        assert_eq!(found(&routes(&input), "h", path), wanted, "{rule_:?} {path}");
    }
}

#[test]
fn longest_path_wins_and_exact_before_prefix() {
    let input = IngressInput {
        rules: vec![
            rule("", prefix("/"), "root"),
            rule("", prefix("/foo"), "prefix"),
            rule("", exact("/foo"), "exact"),
            rule("", prefix("/foo/bar"), "longer"),
            rule("", prefix("/foo"), "later, so never"),
        ],
        ..Default::default()
    };
    let table = routes(&input);
    assert_eq!(found(&table, "", "/foo"), "exact");
    assert_eq!(found(&table, "", "/foo/x"), "prefix");
    assert_eq!(found(&table, "", "/foo/bar/x"), "longer");
    assert_eq!(found(&table, "", "/x"), "root");
}

#[test]
fn hosts_from_special_to_general() {
    let input = IngressInput {
        rules: vec![
            rule("a.example.com", prefix("/"), "exact"),
            rule("*.example.com", prefix("/"), "wildcard"),
            rule("", prefix("/any"), "any"),
        ],
        defaults: vec![backend("default"), backend("second default")],
    };
    let table = routes(&input);
    assert_eq!(found(&table, "A.Example.com:8080", "/"), "exact");
    assert_eq!(found(&table, "b.example.com", "/"), "wildcard");
    assert_eq!(found(&table, "c.b.example.com", "/any"), "any");
    assert_eq!(found(&table, "example.com", "/"), "default");
    assert_eq!(found(&table, "[::1]:80", "/any"), "any");
}

proptest! {
    #[test]
    fn any_request_finds_an_answer(host in ".*", path in ".*") {
        let input = IngressInput {
            rules: vec![rule("*.b", prefix("/a"), "x")],
            defaults: vec![backend("d")],
        };
        prop_assert!(["x", "d"].contains(&found(&routes(&input), &host, &path).as_str()));
    }
}
