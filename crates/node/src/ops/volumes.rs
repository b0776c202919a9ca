//! A pod's volumes on disk: made before its containers, removed with it.
//!
//! Contents from objects are written by swapping one symlink, so that readers see all of the old or all of the new
//! (pkg/volume/util/atomic_writer.go).

use super::{Hands, Trouble, token};
use engine::pod::PodMount;
use k8s_openapi::api::core::v1::{
    Container, HostPathVolumeSource, PersistentVolume, PersistentVolumeClaim, Pod, Volume,
    VolumeMount,
};
use kubelet::VolumeContent;
use meta::Time;
use nix::mount::{MntFlags, MsFlags};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use typed::Read;

fn trouble(what: impl std::fmt::Display) -> Trouble {
    Trouble::new("FailedMount", what)
}

fn io<'a>(verb: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Trouble + 'a {
    move |e| trouble(format!("{verb} `{}`: {e}", path.display()))
}

/// Makes everything the pod mounts; marks it done at the end, so that a crash in between starts over.
pub(crate) async fn prepare(hands: &Hands, pod: &Pod) -> Result<(), Trouble> {
    let uid = hands.uid(pod);
    let root = hands.config.pod_dir(uid);
    std::fs::create_dir_all(&root).map_err(io("make", &root))?;
    for volume in pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()) {
        make(hands, pod, volume).await.map_err(|t| {
            trouble(format!(
                "MountVolume.SetUp failed for volume {:?} : {}",
                volume.name, t.message
            ))
        })?;
    }
    let done = hands.config.volumes_ready(uid);
    std::fs::write(&done, b"").map_err(io("write", &done))
}

async fn make(hands: &Hands, pod: &Pod, volume: &Volume) -> Result<(), Trouble> {
    let dir = hands.config.volume_dir(hands.uid(pod), &volume.name);
    if let Some(empty) = &volume.empty_dir {
        return empty_dir(
            &dir,
            pod,
            empty.medium.as_deref(),
            empty.size_limit.as_ref().map(|q| q.0.as_str()),
        );
    }
    if let Some(path) = &volume.host_path {
        return host_path(path);
    }
    let content = hands.with_sources(pod, &pod_ips(hands, pod), |s| kubelet::content(volume, s));
    match content.map_err(trouble)? {
        Some(content) => write_content(hands, pod, &dir, content).await,
        None if volume.image.is_some() => image_volume(hands, pod, volume).await,
        None if volume.persistent_volume_claim.is_some() => claim_volume(hands, pod, volume).await,
        None => Err(trouble("this kind of volume is not supported by this node yet")),
    }
}

async fn image_volume(hands: &Hands, pod: &Pod, volume: &Volume) -> Result<(), Trouble> {
    let source = volume.image.clone().unwrap_or_default();
    let image = Container {
        image: source.reference,
        image_pull_policy: source.pull_policy,
        ..Container::default()
    };
    let about = super::pull::About { pod, field_path: "" };
    super::pull::ensure(hands, &about, &image).await
}

/// The files belong to the pod's group, when it has one.
async fn claim_volume(hands: &Hands, pod: &Pod, volume: &Volume) -> Result<(), Trouble> {
    let Some(claim) = &volume.persistent_volume_claim else { return Ok(()) };
    let path = claimed(hands, pod, &claim.claim_name)?;
    let Some(gid) = fs_group(pod).filter(|_| claim.read_only != Some(true)) else { return Ok(()) };
    let failed = path.clone();
    let given = tokio::task::spawn_blocking(move || give_to_group(&path, gid)).await;
    given.map_err(trouble)?.map_err(io("set the group of", &failed))
}

/// pkg/volume/volume_linux.go: the group may do what the owner may, and directories pass the group on.
fn give_to_group(path: &Path, gid: u32) -> std::io::Result<()> {
    let metadata = std::fs::symlink_metadata(path)?;
    std::os::unix::fs::lchown(path, None, Some(gid))?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = metadata.permissions().mode();
    let more = if metadata.is_dir() { 0o2770 } else { 0o660 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode | more))?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give_to_group(&entry?.path(), gid)?;
        }
    }
    Ok(())
}

fn pod_ips(hands: &Hands, pod: &Pod) -> Vec<String> {
    let seen = crate::observe::observe(&hands.engine, &hands.config, hands.uid(pod));
    seen.sandboxes.last().map(|s| s.ips.clone()).unwrap_or_default()
}

fn fs_group(pod: &Pod) -> Option<u32> {
    let context = pod.spec.as_ref()?.security_context.as_ref()?;
    u32::try_from(context.fs_group?).ok()
}

/// World-writable like upstream's; in memory when asked for.
fn empty_dir(
    dir: &Path,
    pod: &Pod,
    medium: Option<&str>,
    size: Option<&str>,
) -> Result<(), Trouble> {
    std::fs::create_dir_all(dir).map_err(io("make", dir))?;
    if medium == Some("Memory") && !is_mounted(dir) {
        let size = size.and_then(|text| meta::Quantity::parse(text).ok());
        let options = size.map(|q| format!("size={}", q.value())).unwrap_or_default();
        nix::mount::mount(
            Some("tmpfs"),
            dir,
            Some("tmpfs"),
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .map_err(|e| trouble(format!("mount a tmpfs on `{}`: {e}", dir.display())))?;
    }
    let mode = if fs_group(pod).is_some() { 0o2777 } else { 0o777 };
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode))
        .map_err(io("chmod", dir))?;
    if let Some(gid) = fs_group(pod) {
        std::os::unix::fs::chown(dir, None, Some(gid)).map_err(io("chown", dir))?;
    }
    Ok(())
}

fn is_mounted(dir: &Path) -> bool {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let wanted = dir.to_string_lossy();
    text.lines().any(|line| line.split(' ').nth(4) == Some(&wanted))
}

/// pkg/volume/hostpath/host_path.go `checkTypeInternal`.
fn host_path(source: &HostPathVolumeSource) -> Result<(), Trouble> {
    let path = Path::new(&source.path);
    let kind = source.type_.as_deref().unwrap_or_default();
    let metadata = std::fs::metadata(path);
    let is = |test: fn(&std::fs::Metadata) -> bool| metadata.as_ref().is_ok_and(test);
    let wrong = |what: &str| {
        Err(trouble(format!("hostPath type check failed: {} is not {what}", source.path)))
    };
    match kind {
        "DirectoryOrCreate" if metadata.is_err() => {
            std::fs::create_dir_all(path).map_err(io("make", path))
        }
        "FileOrCreate" if metadata.is_err() => std::fs::write(path, b"").map_err(io("make", path)),
        "Directory" | "DirectoryOrCreate" if !is(std::fs::Metadata::is_dir) => wrong("a directory"),
        "File" | "FileOrCreate" if !is(std::fs::Metadata::is_file) => wrong("a file"),
        "Socket" | "CharDevice" | "BlockDevice" if metadata.is_err() => wrong("there"),
        "" if metadata.is_err() => std::fs::create_dir_all(path).map_err(io("make", path)),
        _ => Ok(()),
    }
}

// === contents from objects ===

async fn write_content(
    hands: &Hands,
    pod: &Pod,
    dir: &Path,
    content: VolumeContent,
) -> Result<(), Trouble> {
    let mut files: Vec<(String, Vec<u8>, u32)> =
        content.files.into_iter().map(|(path, file)| (path, file.bytes, file.mode)).collect();
    for wanted in &content.tokens {
        let had = std::fs::read(dir.join(&wanted.path)).unwrap_or_default();
        if token::due(&had).is_some_and(|at| at > client::now()) {
            files.push((wanted.path.clone(), had, wanted.mode));
            continue;
        }
        let minted = token::mint(hands, pod, wanted).await.map_err(|p| trouble(p.message))?;
        files.push((wanted.path.clone(), minted.into_bytes(), wanted.mode));
    }
    swap(dir, &files, fs_group(pod))
}

/// Writes all files beside the present ones and swaps `..data` over; nothing happens when nothing changed.
fn swap(dir: &Path, files: &[(String, Vec<u8>, u32)], gid: Option<u32>) -> Result<(), Trouble> {
    std::fs::create_dir_all(dir).map_err(io("make", dir))?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777))
        .map_err(io("chmod", dir))?;
    let data = dir.join("..data");
    if unchanged(&data, files) {
        return Ok(());
    }
    let fresh = dir.join(format!("..{}", client::now().0));
    std::fs::create_dir_all(&fresh).map_err(io("make", &fresh))?;
    for (path, bytes, mode) in files {
        write_file(&fresh, path, bytes, *mode, gid)?;
    }
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755))
        .map_err(io("chmod", &fresh))?;
    let old = std::fs::read_link(&data).ok();
    let next = dir.join("..data_tmp");
    let _ = std::fs::remove_file(&next);
    let name = fresh.file_name().unwrap_or_default();
    std::os::unix::fs::symlink(name, &next).map_err(io("link", &next))?;
    std::fs::rename(&next, &data).map_err(io("swap", &data))?;
    link_names(dir, files)?;
    if let Some(old) = old {
        let _ = std::fs::remove_dir_all(dir.join(old));
    }
    Ok(())
}

fn unchanged(data: &Path, files: &[(String, Vec<u8>, u32)]) -> bool {
    let same = |(path, bytes, mode): &(String, Vec<u8>, u32)| {
        let path = data.join(path);
        let metadata = std::fs::metadata(&path);
        std::fs::read(&path).is_ok_and(|had| had == *bytes)
            && metadata.is_ok_and(|m| m.permissions().mode() & 0o777 == *mode & 0o777)
    };
    data.exists() && count(data) == files.len() && files.iter().all(same)
}

fn count(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| if e.path().is_dir() { count(&e.path()) } else { 1 }).sum()
}

fn write_file(
    root: &Path,
    path: &str,
    bytes: &[u8],
    mode: u32,
    gid: Option<u32>,
) -> Result<(), Trouble> {
    let relative = Path::new(path);
    if relative.components().any(|c| !matches!(c, Component::Normal(_))) {
        return Err(trouble(format!("{path:?} leaves the volume")));
    }
    let full = root.join(relative);
    if let Some(parent) = full.parent() {
        std::fs::create_dir_all(parent).map_err(io("make", parent))?;
    }
    std::fs::write(&full, bytes).map_err(io("write", &full))?;
    let mode = if gid.is_some() { mode | (mode & 0o700) >> 3 } else { mode };
    std::fs::set_permissions(&full, std::fs::Permissions::from_mode(mode))
        .map_err(io("chmod", &full))?;
    if let Some(gid) = gid {
        std::os::unix::fs::chown(&full, None, Some(gid)).map_err(io("chown", &full))?;
    }
    Ok(())
}

/// The names that containers see: links through `..data`; names no longer wanted go.
fn link_names(dir: &Path, files: &[(String, Vec<u8>, u32)]) -> Result<(), Trouble> {
    let mut tops: Vec<&str> =
        files.iter().filter_map(|(path, _, _)| path.split('/').next()).collect();
    tops.sort_unstable();
    tops.dedup();
    for top in &tops {
        let link = dir.join(top);
        if std::fs::symlink_metadata(&link).is_err() {
            std::os::unix::fs::symlink(Path::new("..data").join(top), &link)
                .map_err(io("link", &link))?;
        }
    }
    for entry in std::fs::read_dir(dir).map_err(io("read", dir))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !tops.contains(&name.as_str()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// When the first of the pod's tokens is to be replaced.
pub(crate) fn tokens_due(hands: &Hands, pod: &Pod) -> Option<Time> {
    let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
    let paths = volumes.flat_map(|volume| {
        let dir = hands.config.volume_dir(hands.uid(pod), &volume.name);
        let sources = volume.projected.iter().flat_map(|p| p.sources.iter().flatten());
        sources.filter_map(move |s| Some(dir.join(&s.service_account_token.as_ref()?.path)))
    });
    paths.filter_map(|path| token::due(&std::fs::read(path).ok()?)).min()
}

/// Brings volumes made from objects up to date; those that cannot be made now stay as they are.
pub(crate) async fn refresh(hands: &Hands, pod: &Pod) {
    for volume in pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()) {
        let from_objects = volume.config_map.is_some()
            || volume.secret.is_some()
            || volume.downward_api.is_some()
            || volume.projected.is_some();
        if from_objects && let Err(trouble) = make(hands, pod, volume).await {
            tracing::debug!(volume = volume.name, message = trouble.message, "not refreshed");
        }
    }
}

// === mounts of one container ===

pub(crate) fn mounts(
    hands: &Hands,
    pod: &Pod,
    container: &Container,
    env: &[(String, String)],
) -> Result<Vec<PodMount>, Trouble> {
    let mounts = container.volume_mounts.iter().flatten();
    mounts.map(|mount| one_mount(hands, pod, mount, env)).collect()
}

fn one_mount(
    hands: &Hands,
    pod: &Pod,
    mount: &VolumeMount,
    env: &[(String, String)],
) -> Result<PodMount, Trouble> {
    let config = |message: String| Trouble::new("CreateContainerConfigError", message);
    let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
    let volume = volumes.clone().find(|v| v.name == mount.name);
    let volume = volume.ok_or_else(|| config(format!("no volume {:?} in the pod", mount.name)))?;
    let sub_path = sub_path(mount, env).map_err(config)?;
    let image = volume.image.as_ref().and_then(|i| i.reference.clone()).unwrap_or_default();
    let (source, read_only) = source(hands, pod, volume)?;
    let source =
        if image.is_empty() { within(&source, &sub_path).map_err(config)? } else { source };
    Ok(PodMount {
        source,
        target: mount.mount_path.clone(),
        read_only: mount.read_only == Some(true) || read_only || !image.is_empty(),
        propagation: match mount.mount_propagation.as_deref() {
            Some("HostToContainer") => "rslave",
            Some("Bidirectional") => "rshared",
            _ => "private",
        }
        .into(),
        sub_path: if image.is_empty() { String::new() } else { sub_path },
        image,
    })
}

fn sub_path(mount: &VolumeMount, env: &[(String, String)]) -> Result<String, String> {
    let Some(expression) = mount.sub_path_expr.as_deref().filter(|e| !e.is_empty()) else {
        return Ok(mount.sub_path.clone().unwrap_or_default());
    };
    let missing = std::cell::RefCell::new(None);
    let text = kubelet::expand(expression, |name| {
        let found = env.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        if found.is_none() {
            *missing.borrow_mut() = Some(name.to_string());
        }
        found
    });
    match missing.into_inner() {
        Some(name) => Err(format!("missing value for {name:?}")),
        None => Ok(text),
    }
}

/// `sub` below `root`, made when it is not there. Every step is checked, so that no link leads out.
fn within(root: &Path, sub: &str) -> Result<PathBuf, String> {
    if sub.is_empty() {
        return Ok(root.to_path_buf());
    }
    let relative = Path::new(sub);
    if relative.is_absolute() || relative.components().any(|c| matches!(c, Component::ParentDir)) {
        return Err(format!("subPath {sub:?} must be a relative path without '..'"));
    }
    let full = root.join(relative);
    if std::fs::symlink_metadata(&full).is_err() {
        std::fs::create_dir_all(&full).map_err(|e| format!("make subPath {sub:?}: {e}"))?;
    }
    let real = full.canonicalize().map_err(|e| format!("subPath {sub:?}: {e}"))?;
    let base = root.canonicalize().map_err(|e| format!("volume: {e}"))?;
    if real.starts_with(&base) {
        Ok(real)
    } else {
        Err(format!("subPath {sub:?} leaves the volume"))
    }
}

/// Where a volume's data is, and whether it may only be read.
fn source(hands: &Hands, pod: &Pod, volume: &Volume) -> Result<(PathBuf, bool), Trouble> {
    if let Some(path) = &volume.host_path {
        return Ok((PathBuf::from(&path.path), false));
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        let path = claimed(hands, pod, &claim.claim_name)?;
        return Ok((path, claim.read_only == Some(true)));
    }
    let made = volume.config_map.is_some() || volume.secret.is_some() || volume.projected.is_some();
    Ok((
        hands.config.volume_dir(hands.uid(pod), &volume.name),
        made || volume.downward_api.is_some(),
    ))
}

fn claimed(hands: &Hands, pod: &Pod, name: &str) -> Result<PathBuf, Trouble> {
    let view = hands.client.view();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let claim = view.read::<PersistentVolumeClaim>(namespace, name);
    let volume = claim.as_ref().and_then(|c| c.spec.as_ref()?.volume_name.clone());
    let volume = volume.and_then(|name| view.read::<PersistentVolume>("", &name));
    let volume =
        volume.ok_or_else(|| trouble(format!("persistentvolumeclaim {name:?} is not bound")))?;
    let spec = volume.spec.as_ref();
    let local = spec.and_then(|s| s.local.as_ref()).map(|l| l.path.clone());
    let path = local.or_else(|| spec?.host_path.as_ref().map(|h| h.path.clone()));
    let path = path.ok_or_else(|| {
        trouble("only local and hostPath persistent volumes are supported by this node yet")
    })?;
    let path = PathBuf::from(path);
    std::fs::create_dir_all(&path).map_err(io("make", &path))?;
    Ok(path)
}

/// A file that any user of the container may write.
pub(crate) fn write_open_file(path: &Path) -> Result<(), Trouble> {
    std::fs::write(path, b"").map_err(io("make", path))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))
        .map_err(io("chmod", path))
}

/// Removes directories of pods that are not known any more.
pub(crate) fn sweep(hands: &Hands, known: impl Fn(&str) -> bool) {
    let entries = std::fs::read_dir(hands.config.data_dir.join("pods")).into_iter().flatten();
    for entry in entries.flatten() {
        if known(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let root = entry.path();
        for volume in std::fs::read_dir(root.join("volumes")).into_iter().flatten().flatten() {
            if is_mounted(&volume.path()) {
                // What stays mounted makes the removal fail, and that is told.
                let _ = nix::mount::umount2(&volume.path(), MntFlags::MNT_DETACH);
            }
        }
        if let Err(error) = std::fs::remove_dir_all(&root) {
            tracing::warn!(%error, path = %root.display(), "a gone pod's directory stays");
        }
    }
}

/// Unmounts what was mounted and removes the pod's directory.
pub(crate) async fn clean_up(hands: &Hands, pod: &Pod) -> Result<(), Trouble> {
    let root = hands.config.pod_dir(hands.uid(pod));
    for volume in pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()) {
        let dir = hands.config.volume_dir(hands.uid(pod), &volume.name);
        if is_mounted(&dir) {
            nix::mount::umount2(&dir, MntFlags::MNT_DETACH)
                .map_err(|e| trouble(format!("unmount `{}`: {e}", dir.display())))?;
        }
    }
    match std::fs::remove_dir_all(&root) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io("remove", &root)(e)),
        _ => Ok(()),
    }
}
