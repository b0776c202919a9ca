//! Descriptions of built-in types, unpacked when a document is made and dropped with it.

use meta::{Map, Value};
use std::collections::BTreeMap;
use std::io::Read as _;

static BLOB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.bin"));
/// Package with the start and end of its block.
static INDEX: &[(&str, usize, usize)] = include!(concat!(env!("OUT_DIR"), "/descriptions.rs"));

/// The packages unpacked so far.
#[derive(Debug, Default)]
pub(crate) struct Descriptions {
    packages: BTreeMap<&'static str, Map>,
}

impl Descriptions {
    /// What upstream says of a type (`field` empty) or of one of its fields; empty when it says nothing.
    pub(crate) fn of(&mut self, definition: &str, field: &str) -> &str {
        let text = self.lookup(definition, field);
        text.and_then(Value::as_str).unwrap_or_default()
    }

    fn lookup(&mut self, definition: &str, field: &str) -> Option<&Value> {
        let (package, name) = definition.rsplit_once('.')?;
        let (package, start, end) = INDEX.iter().find(|(p, _, _)| *p == package)?;
        let texts = self.packages.entry(package).or_insert_with(|| unpack(&BLOB[*start..*end]));
        texts.get(name)?.get(field)
    }
}

fn unpack(block: &[u8]) -> Map {
    let mut text = String::new();
    let read = flate2::read::ZlibDecoder::new(block).read_to_string(&mut text);
    read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Descriptions, INDEX};

    #[test]
    fn every_block_unpacks() {
        let mut all = Descriptions::default();
        let pod = "io.k8s.api.core.v1.Pod";
        assert!(all.of(pod, "").starts_with("Pod is a collection of containers"));
        assert!(all.of(pod, "metadata").starts_with("Standard object's metadata."));
        assert!(all.of("io.k8s.api.core.v1.PodSpec", "nodeName").contains("schedule"));
        assert_eq!(all.of("io.k8s.api.core.v1.PodSpec", "nonsense"), "");
        for (package, start, end) in INDEX {
            assert!(!super::unpack(&super::BLOB[*start..*end]).is_empty(), "{package}");
        }
    }
}
