use super::*;

fn show(spec: &str) -> String {
    match parse_bind(spec) {
        Ok(m) => format!(
            "{} {}{} -> {} {} {}",
            m.kind,
            m.source,
            m.name,
            m.destination,
            if m.writable { "rw" } else { "ro" },
            m.propagation
        ),
        Err(e) => e.message,
    }
}

#[test]
fn specifications() {
    assert_eq!(show("/a/../b:/c/"), "bind /b -> /c rw rprivate");
    assert_eq!(show("/a:/c:ro,rslave"), "bind /a -> /c ro rslave");
    assert_eq!(show("data:/c"), "volume data -> /c rw ");
    assert_eq!(show("/c"), "volume  -> /c rw ");
    assert_eq!(show("a::b"), "invalid volume specification: 'a::b'");
    assert_eq!(show("/a:/b:nonsense"), "invalid mode: nonsense");
    assert!(show("/a:/").ends_with("destination can't be '/'"));
    assert!(show("/a:b").ends_with("mount path must be absolute"));
    assert!(show("../x:/b").contains("includes invalid characters"));
}

#[test]
fn explicit_mounts_win_over_image_volumes() {
    let config = Config {
        volumes: Some(BTreeMap::from([("/data".into(), crate::config::Empty {})])),
        ..Config::default()
    };
    let host = HostConfig { binds: Some(vec!["/src:/data".into()]), ..HostConfig::default() };
    let mounts = wanted(&config, &host, Vec::new()).unwrap();
    assert_eq!(mounts.len(), 1);
    assert_eq!(mounts[0].kind, "bind");
    let twice = HostConfig { binds: Some(vec!["/a:/d".into(), "/b:/d".into()]), ..host };
    assert_eq!(
        wanted(&config, &twice, Vec::new()).unwrap_err().message,
        "Duplicate mount point: /d"
    );
}

proptest::proptest! {
    #[test]
    fn never_panics_and_never_escapes(spec in ".{0,40}") {
        if let Ok(mount) = parse_bind(&spec) {
            proptest::prop_assert!(mount.destination.starts_with('/'));
            proptest::prop_assert!(!mount.destination.split('/').any(|p| p == ".."));
        }
    }
}
