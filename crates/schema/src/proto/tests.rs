use super::{Envelope, decode_proto, encode_proto, open, seal};
use crate::graph::{Scalar, Shape, Struct, Type};
use crate::{decode_json, kind, message, messages};
use meta::{Gvk, Map, Value};
use proptest::prelude::*;

/// A small generator: proptest chooses the seed, so that failures shrink to a seed and a message.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn pick(&mut self, of: &[&str]) -> Value {
        of[self.below(of.len() as u64) as usize].into()
    }

    fn structure(&mut self, object: &Struct, depth: u32) -> Value {
        let mut out = Map::new();
        for field in &object.fields {
            if field.number != 0 && self.below(if depth > 2 { 6 } else { 2 }) == 0 && depth < 8 {
                out.insert(field.name.to_string(), self.value(&field.ty, depth + 1));
            }
        }
        Value::Object(out)
    }

    fn value(&mut self, ty: &Type, depth: u32) -> Value {
        match &ty.shape {
            Shape::Message(id) => self.structure(message(*id), depth),
            Shape::List(list) => {
                (0..=self.below(2)).map(|_| self.value(&list.item, depth)).collect()
            }
            Shape::Map(item) => {
                (0..=self.below(2)).map(|i| (format!("k{i}"), self.value(item, depth))).collect()
            }
            Shape::Scalar(scalar) => self.scalar(*scalar, depth),
            Shape::Object(_) | Shape::Any => Value::Null,
        }
    }

    fn scalar(&mut self, scalar: Scalar, depth: u32) -> Value {
        match scalar {
            Scalar::String => self.pick(&["", "a", "Grüße", "a longer text with \" and \\"]),
            Scalar::Bool => (self.below(2) == 1).into(),
            Scalar::Int32 => (self.below(1 << 32) as u32 as i32).into(),
            Scalar::Int64 => (self.below(u64::MAX) as i64 - (1 << 60)).into(),
            Scalar::Double => (self.below(1000) as f64 / 8.0 + 0.125).into(),
            Scalar::Bytes => self.pick(&["", "AA==", "aGVsbG8="]),
            Scalar::Time => self.pick(&["2026-01-02T03:04:05Z", "1999-12-31T23:59:59Z"]),
            Scalar::MicroTime => self.pick(&["2026-01-02T03:04:05.000006Z"]),
            Scalar::Duration => self.pick(&["1m30s", "0s", "-1.5s"]),
            Scalar::Quantity => self.pick(&["1", "100m", "1536Mi", "0", "12e6"]),
            Scalar::IntOrString if self.below(2) == 0 => 8080.into(),
            Scalar::IntOrString => self.pick(&["http", "25%", ""]),
            Scalar::Raw | Scalar::FieldsV1 => serde_json::json!({"f:a": {}, "b": [1, "x", null]}),
            Scalar::SchemaOrBool if self.below(2) == 0 => true.into(),
            Scalar::SchemaOrStrings if self.below(2) == 0 => serde_json::json!(["a", "b"]),
            Scalar::SchemaOrArray | Scalar::SchemaOrBool | Scalar::SchemaOrStrings => {
                self.structure(message(crate::decode::schema_props()), depth + 4)
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_survives_the_round_trip(seed in 1u64..) {
        let mut random = Random(seed);
        for id in messages() {
            let ty = Type::new(Shape::Message(id));
            let written = random.structure(message(id), 0).to_string();
            let value = decode_json(written.as_bytes(), &ty).unwrap().value;
            let bytes = encode_proto(&value, &ty).unwrap();
            let back = decode_proto(&bytes, &ty).unwrap();
            prop_assert_eq!(&back, &value, "{}", &message(id).name);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = open(&bytes);
        for name in ["Pod", "CustomResourceDefinition", "Lease"] {
            let groups = ["v1", "apiextensions.k8s.io/v1", "coordination.k8s.io/v1"];
            for group in groups {
                if let Some(ty) = kind(&Gvk::parse(group, name)) {
                    let _ = decode_proto(&bytes, &ty);
                }
            }
        }
    }
}

#[test]
fn envelopes() {
    let raw = [10, 0];
    let envelope =
        Envelope { api_version: "apps/v1", kind: "Deployment", raw: &raw, ..Envelope::default() };
    let bytes = seal(&envelope);
    assert_eq!(&bytes[..6], b"k8s\0\x0a\x15");
    assert_eq!(open(&bytes).unwrap(), envelope);
    assert!(open(b"{}").is_err());
    assert!(open(b"k8s\0\x0a\xff").is_err());
}

#[test]
fn watch_events_carry_sealed_objects() {
    let pod = kind(&Gvk::parse("v1", "Pod")).unwrap();
    let value = decode_json(br#"{"metadata":{"name":"x"}}"#, &pod).unwrap().value;
    let raw = encode_proto(&value, &pod).unwrap();
    let envelope = Envelope { api_version: "v1", kind: "Pod", raw: &raw, ..Envelope::default() };
    let event = super::seal_event("ADDED", &seal(&envelope));
    let ty = kind(&Gvk::parse("v1", "WatchEvent"));
    assert!(ty.is_none(), "an event is no object");
    let ty = crate::named("io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent").unwrap();
    let seen = decode_proto(&event, &ty).unwrap();
    assert_eq!(seen["type"], "ADDED");
    assert_eq!(seen["object"]["kind"], "Pod");
    assert_eq!(seen["object"]["metadata"]["name"], "x");
}

#[test]
fn deep_nesting_is_refused() {
    let crd = kind(&Gvk::parse("apiextensions.k8s.io/v1", "JSONSchemaProps"));
    assert!(crd.is_none(), "not a kind");
    let ty = Type::new(Shape::Message(crate::decode::schema_props()));
    // not (field 28) within not, 3000 deep.
    let mut bytes: Vec<u8> = Vec::new();
    for _ in 0..3000 {
        let mut outer = Vec::new();
        super::wire::put_bytes(&mut outer, 28, &bytes);
        bytes = outer;
    }
    assert!(decode_proto(&bytes, &ty).unwrap_err().message.contains("max depth"));
}
