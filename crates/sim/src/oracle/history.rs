//! Rules of the API machinery.

use crate::mirror::Mirror;
use k8s_openapi::api::core::v1::Namespace;
use store::Change;

pub(super) fn revision(mirror: &Mirror, change: &Change) -> Result<(), String> {
    if change.revision <= mirror.revision || change.after.revision != change.revision {
        return Err(format!("revision {} after {}", change.revision, mirror.revision));
    }
    let known = mirror.get(&change.after.key).map(|object| object.revision);
    let said = change.before.as_ref().map(|object| object.revision);
    if known != said {
        return Err(format!("it was at {known:?}, the change says {said:?}"));
    }
    Ok(())
}

pub(super) fn generation(_: &Mirror, change: &Change) -> Result<(), String> {
    let Some(before) = &change.before else { return Ok(()) };
    let (old, new) = (&before.head, &change.after.head);
    if old.uid != new.uid {
        return Err(format!("uid {} became {} without a deletion", old.uid, new.uid));
    }
    if new.generation < old.generation {
        return Err(format!("generation {} after {}", new.generation, old.generation));
    }
    Ok(())
}

pub(super) fn finalizers(_: &Mirror, change: &Change) -> Result<(), String> {
    match &change.before {
        Some(before) if change.deletion && before.head.finalizers.len() > 1 => {
            Err(format!("deleted with finalizers {:?}", before.head.finalizers))
        }
        _ => Ok(()),
    }
}

/// Upstream's NamespaceLifecycle; events tell of the end itself.
pub(super) fn namespace(mirror: &Mirror, change: &Change) -> Result<(), String> {
    let key = &change.after.key;
    if change.before.is_some() || key.namespace.is_empty() {
        return Ok(());
    }
    match mirror.read::<Namespace>("", &key.namespace) {
        None => Err("created in a namespace that does not exist".into()),
        Some(ns) if ns.metadata.deletion_timestamp.is_some() => {
            Err("created in a namespace that is being deleted".into())
        }
        Some(_) => Ok(()),
    }
}
