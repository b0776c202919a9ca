//! The files of volumes that are made from objects: configMap, secret, downwardAPI, projected
//! (pkg/volume/{configmap,secret,downwardapi,projected}/).

use crate::downward;
use crate::env::Sources;
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, ProjectedVolumeSource, Secret,
    ServiceAccountTokenProjection, Volume, VolumeProjection,
};
use std::collections::BTreeMap;
use typed::Read;

/// A file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeFile {
    pub bytes: Vec<u8>,
    pub mode: u32,
}

/// A token the hands must ask for and write at `path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFile {
    pub path: String,
    pub audience: Option<String>,
    pub expiration_secs: i64,
    pub mode: u32,
}

/// What a volume contains. Paths are relative and never leave the volume (validated on write).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeContent {
    pub files: BTreeMap<String, VolumeFile>,
    pub tokens: Vec<TokenFile>,
}

/// The content of a volume made from objects; `None` for other volumes.
///
/// # Errors
/// Names the object or key that is missing and not optional; the pod waits for it (`FailedMount`).
pub fn content(volume: &Volume, sources: &Sources<'_>) -> Result<Option<VolumeContent>, String> {
    let mut out = VolumeContent::default();
    if let Some(source) = &volume.config_map {
        let mode = mode_of(source.default_mode);
        let items = source.items.as_deref();
        config_map(&source.name, items, source.optional, mode, sources, &mut out)?;
    } else if let Some(source) = &volume.secret {
        let mode = mode_of(source.default_mode);
        let name = source.secret_name.as_deref().unwrap_or_default();
        secret(name, source.items.as_deref(), source.optional, mode, sources, &mut out)?;
    } else if let Some(source) = &volume.downward_api {
        let mode = mode_of(source.default_mode);
        downward_files(source.items.as_deref().unwrap_or_default(), mode, sources, &mut out)?;
    } else if let Some(source) = &volume.projected {
        projected(source, sources, &mut out)?;
    } else {
        return Ok(None);
    }
    Ok(Some(out))
}

fn mode_of(mode: Option<i32>) -> u32 {
    mode.and_then(|m| u32::try_from(m).ok()).unwrap_or(0o644)
}

fn projected(
    source: &ProjectedVolumeSource,
    sources: &Sources<'_>,
    out: &mut VolumeContent,
) -> Result<(), String> {
    let mode = mode_of(source.default_mode);
    for part in source.sources.iter().flatten() {
        project(part, mode, sources, out)?;
    }
    Ok(())
}

fn project(
    part: &VolumeProjection,
    mode: u32,
    sources: &Sources<'_>,
    out: &mut VolumeContent,
) -> Result<(), String> {
    if let Some(source) = &part.config_map {
        config_map(&source.name, source.items.as_deref(), source.optional, mode, sources, out)?;
    }
    if let Some(source) = &part.secret {
        secret(&source.name, source.items.as_deref(), source.optional, mode, sources, out)?;
    }
    if let Some(source) = &part.downward_api {
        downward_files(source.items.as_deref().unwrap_or_default(), mode, sources, out)?;
    }
    if let Some(source) = &part.service_account_token {
        out.tokens.push(token(source, mode));
    }
    if part.cluster_trust_bundle.is_some() || part.pod_certificate.is_some() {
        return Err("this projection is not supported by this node yet".into());
    }
    Ok(())
}

fn token(source: &ServiceAccountTokenProjection, mode: u32) -> TokenFile {
    TokenFile {
        path: source.path.clone(),
        audience: source.audience.clone().filter(|a| !a.is_empty()),
        expiration_secs: source.expiration_seconds.unwrap_or(3600),
        mode,
    }
}

fn config_map(
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: u32,
    sources: &Sources<'_>,
    out: &mut VolumeContent,
) -> Result<(), String> {
    let namespace = sources.pod.metadata.namespace.as_deref().unwrap_or_default();
    let Some(map) = sources.view.read::<ConfigMap>(namespace, name) else {
        return missing(optional, || format!("configmap {name:?} not found"));
    };
    let mut data: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    data.extend(map.data.iter().flatten().map(|(k, v)| (k.as_str(), v.clone().into_bytes())));
    data.extend(map.binary_data.iter().flatten().map(|(k, v)| (k.as_str(), v.0.clone())));
    pick(data, items, optional, mode, out)
        .map_err(|key| format!("configmap references non-existent config key: {key}"))
}

fn secret(
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: u32,
    sources: &Sources<'_>,
    out: &mut VolumeContent,
) -> Result<(), String> {
    let namespace = sources.pod.metadata.namespace.as_deref().unwrap_or_default();
    let Some(secret) = sources.view.read::<Secret>(namespace, name) else {
        return missing(optional, || format!("secret {name:?} not found"));
    };
    let data = secret.data.iter().flatten().map(|(k, v)| (k.as_str(), v.0.clone())).collect();
    pick(data, items, optional, mode, out)
        .map_err(|key| format!("references non-existent secret key: {key}"))
}

fn missing(optional: Option<bool>, why: impl FnOnce() -> String) -> Result<(), String> {
    if optional == Some(true) { Ok(()) } else { Err(why()) }
}

/// All keys under their own names, or the listed ones under theirs; `Err` is the key that is not there.
fn pick(
    data: BTreeMap<&str, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: u32,
    out: &mut VolumeContent,
) -> Result<(), String> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        let all = data.into_iter().map(|(k, bytes)| (k.to_string(), VolumeFile { bytes, mode }));
        out.files.extend(all);
        return Ok(());
    };
    for item in items {
        match data.get(item.key.as_str()) {
            Some(bytes) => {
                let mode = item.mode.map_or(mode, |m| mode_of(Some(m)));
                let file = VolumeFile { bytes: bytes.clone(), mode };
                out.files.insert(item.path.clone(), file);
            }
            None if optional == Some(true) => {}
            None => return Err(item.key.clone()),
        }
    }
    Ok(())
}

fn downward_files(
    items: &[DownwardAPIVolumeFile],
    mode: u32,
    sources: &Sources<'_>,
    out: &mut VolumeContent,
) -> Result<(), String> {
    let containers = sources.pod.spec.as_ref().map(|s| s.containers.as_slice()).unwrap_or_default();
    for item in items {
        let text = match (&item.field_ref, &item.resource_field_ref, containers.first()) {
            (Some(field), _, _) => downward::field(&field.field_path, sources)?,
            (_, Some(resource), Some(first)) => downward::resource(resource, first, sources)?,
            _ => return Err(format!("downward API file {:?} names no source", item.path)),
        };
        let mode = item.mode.map_or(mode, |m| mode_of(Some(m)));
        out.files.insert(item.path.clone(), VolumeFile { bytes: text.into_bytes(), mode });
    }
    Ok(())
}
