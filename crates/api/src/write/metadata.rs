//! `ObjectMeta`: what the server sets, what may not change, what is valid
//! (apimachinery `pkg/api/validation/objectmeta.go`, apiserver `pkg/registry/rest/{create,update,meta}.go`).

use crate::catalog::Served;
use crate::object::{finalizers, is_deleting, meta_text, metadata};
use meta::{Fault, Time, Value, names};

/// The alphabet of generated names (apimachinery `pkg/util/rand`).
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Longest base of a generated name.
const BASE_MAX: usize = 58;

/// A version 4 UUID from random bytes.
pub fn uid(entropy: &[u8; 32]) -> String {
    let mut b: [u8; 16] = entropy[..16].try_into().expect("sixteen of thirty-two bytes");
    b[6] = b[6] & 0x0f | 0x40;
    b[8] = b[8] & 0x3f | 0x80;
    let hex: String = b.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// `base` and five random characters.
pub fn generated(base: &str, entropy: &[u8; 32]) -> String {
    let mut base = base;
    while base.len() > BASE_MAX {
        base = &base[..base.char_indices().next_back().map_or(0, |(at, _)| at)];
    }
    let suffix =
        entropy[16..21].iter().map(|b| char::from(ALPHABET[usize::from(*b) % ALPHABET.len()]));
    format!("{base}{}", suffix.collect::<String>())
}

/// FillObjectMetaSystemFields and what else a client may not set on create.
pub fn begin(value: &mut Value, entropy: &[u8; 32], now: Time) {
    let meta = metadata(value);
    for key in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "generation",
        "resourceVersion",
    ] {
        meta.remove(key);
    }
    meta.insert("creationTimestamp".into(), now.rfc3339().into());
    meta.insert("uid".into(), uid(entropy).into());
}

/// What an update keeps of the old metadata (rest.BeforeUpdate).
pub fn carry(new: &mut Value, old: &Value) {
    let kept = [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
    ];
    let before = old.get("metadata");
    let meta = metadata(new);
    meta.remove("selfLink");
    for key in kept {
        // Another uid is refused with whatever else is wrong.
        if key == "uid" && meta.get(key).and_then(Value::as_str).is_some_and(|uid| !uid.is_empty())
        {
            continue;
        }
        match before.and_then(|m| m.get(key)) {
            Some(value) => drop(meta.insert(key.into(), value.clone())),
            None => drop(meta.remove(key)),
        }
    }
    for key in ["name", "namespace"] {
        if let (None, Some(value)) = (meta.get(key), before.and_then(|m| m.get(key))) {
            meta.insert(key.into(), value.clone());
        }
    }
}

/// Every fault of the metadata.
pub fn check(served: &Served, value: &Value, old: Option<&Value>) -> Vec<Fault> {
    let mut faults = Vec::new();
    match old {
        None => check_name(served, value, &mut faults),
        Some(old) => check_kept(value, old, &mut faults),
    }
    if served.custom && old.is_some() {
        twice(&mut faults);
    }
    check_labels(value, &mut faults);
    check_annotations(value, &mut faults);
    check_owners(value, &mut faults);
    for finalizer in finalizers(value) {
        check_finalizer(&finalizer, &mut faults);
    }
    if old.is_some() && !served.custom {
        twice(&mut faults);
    }
    faults
}

/// On update both the registry and the kind's strategy check metadata, and clients see both lists of causes;
/// the message tells each fault once.
pub fn twice(faults: &mut Vec<Fault>) {
    faults.extend(faults.clone());
}

fn check_name(served: &Served, value: &Value, faults: &mut Vec<Fault>) {
    let name = meta_text(value, "name");
    if name.is_empty() {
        faults.push(Fault::required("metadata.name", "name or generateName is required"));
        return;
    }
    for why in (served.traits.name)(name) {
        faults.push(Fault::invalid("metadata.name", name, why));
    }
}

fn check_kept(value: &Value, old: &Value, faults: &mut Vec<Fault>) {
    for key in ["name", "namespace", "uid"] {
        let (new, old) = (meta_text(value, key), meta_text(old, key));
        if new != old {
            faults.push(Fault::invalid(format!("metadata.{key}"), new, "field is immutable"));
        }
    }
    if is_deleting(old) {
        let before = finalizers(old);
        let added: Vec<_> = finalizers(value).into_iter().filter(|f| !before.contains(f)).collect();
        if !added.is_empty() {
            let shown: Vec<_> = added.iter().map(|f| format!("{f:?}")).collect();
            faults.push(Fault::forbidden(
                "metadata.finalizers",
                format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    shown.join(", ")
                ),
            ));
        }
    }
}

fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let map = value.get("metadata").and_then(|m| m.get(key)).and_then(Value::as_object);
    map.into_iter().flatten()
}

fn check_labels(value: &Value, faults: &mut Vec<Fault>) {
    for (key, label) in entries(value, "labels") {
        for why in names::qualified_name(key) {
            faults.push(Fault::invalid("metadata.labels", key.as_str(), why));
        }
        let text = label.as_str().unwrap_or_default();
        for why in names::label_value(text) {
            faults.push(Fault::invalid("metadata.labels", text, why));
        }
    }
}

/// Together at most 256 KiB.
const ANNOTATIONS_MAX: usize = 256 << 10;

fn check_annotations(value: &Value, faults: &mut Vec<Fault>) {
    let mut size = 0;
    for (key, text) in entries(value, "annotations") {
        size += key.len() + text.as_str().map_or(0, str::len);
        for why in names::qualified_name(&key.to_lowercase()) {
            faults.push(Fault::invalid("metadata.annotations", key.as_str(), why));
        }
    }
    if size > ANNOTATIONS_MAX {
        faults.push(Fault::new(
            meta::FaultRule::TooLong,
            "metadata.annotations",
            None,
            format!("may not be more than {ANNOTATIONS_MAX} bytes"),
        ));
    }
}

fn check_owners(value: &Value, faults: &mut Vec<Fault>) {
    let list = value.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let mut controllers = 0;
    for (i, owner) in list.into_iter().flatten().enumerate() {
        let at = format!("metadata.ownerReferences[{i}]");
        for key in ["kind", "name", "uid"] {
            if kinds::text(owner, key).is_empty() {
                faults.push(Fault::invalid(format!("{at}.{key}"), "", "must not be empty"));
            }
        }
        if kinds::text(owner, "apiVersion").is_empty() {
            faults.push(Fault::invalid(
                format!("{at}.apiVersion"),
                "",
                "version must not be empty",
            ));
        }
        controllers += usize::from(owner["controller"] == true);
    }
    if controllers > 1 {
        let refs = value["metadata"]["ownerReferences"].clone();
        let why = "Only one reference can have Controller set to true.";
        faults.push(Fault::invalid("metadata.ownerReferences", refs, why));
    }
}

/// Finalizers are qualified names; upstream's own may lack a domain.
fn check_finalizer(finalizer: &str, faults: &mut Vec<Fault>) {
    let path = "metadata.finalizers";
    for why in names::qualified_name(finalizer) {
        faults.push(Fault::invalid(path, finalizer, why));
    }
    let standard = ["orphan", "foregroundDeletion", "kubernetes"];
    if !finalizer.contains('/') && !standard.contains(&finalizer) {
        let why = "name is neither a standard finalizer name nor is it fully qualified";
        faults.push(Fault::invalid(path, finalizer, why));
    }
}
