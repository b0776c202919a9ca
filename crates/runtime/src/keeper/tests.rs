use super::log::{LINE_MAX, LogWriter, Stream, time};
use crate::spec::{LogFormat, LogSpec};
use proptest::prelude::*;
use std::fs;

fn writer(dir: &tempfile::TempDir, format: LogFormat) -> LogWriter {
    let spec = LogSpec { format, path: dir.path().join("log"), ..LogSpec::default() };
    LogWriter::open(&spec).unwrap().unwrap()
}

#[test]
fn times_are_written_as_go_does() {
    assert_eq!(time(1_700_000_000_000_000_000), "2023-11-14T22:13:20Z");
    assert_eq!(time(1_700_000_000_120_000_000), "2023-11-14T22:13:20.12Z");
    assert_eq!(time(1_700_000_000_000_000_007), "2023-11-14T22:13:20.000000007Z");
}

#[test]
fn json_entries_are_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = writer(&dir, LogFormat::JsonFile);
    log.write(Stream::Stderr, b"a \"b\" \x1b\xff\n", 0).unwrap();
    let text = fs::read_to_string(dir.path().join("log")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["log"], "a \"b\" \u{1b}\u{fffd}\n");
    assert_eq!(value["stream"], "stderr");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the bytes arrive, the CRI log holds them all, in pieces of at most LINE_MAX.
    #[test]
    fn nothing_is_lost(runs in proptest::collection::vec((0..40_000_usize, 0..3_usize), 0..6)) {
        let chunk = |(text, lines): &(usize, usize)| [vec![b'x'; *text], vec![b'\n'; *lines]].concat();
        let chunks: Vec<Vec<u8>> = runs.iter().map(chunk).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(&dir, LogFormat::Cri);
        for chunk in &chunks {
            log.write(Stream::Stdout, chunk, 0).unwrap();
        }
        log.finish(Stream::Stdout, 0).unwrap();
        let text = fs::read(dir.path().join("log")).unwrap();
        let mut back = Vec::new();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let head = b"1970-01-01T00:00:00Z stdout F ".len();
            let full = line[head - 2] == b'F';
            let body = &line[head..line.len() - 1];
            prop_assert!(body.len() <= LINE_MAX);
            back.extend_from_slice(body);
            back.extend_from_slice(if full { b"\n" } else { b"" });
        }
        prop_assert_eq!(back, chunks.concat());
    }

    /// The wire survives whatever a client sends.
    #[test]
    fn requests_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut input = bytes;
        while let Ok(Some(_)) = crate::wire::decode::<crate::wire::Request>(&mut input) {}
    }
}
