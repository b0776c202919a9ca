//! Making a container: checks, defaults, volumes, snapshot, record. Nothing runs yet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{Base, Image};
use oci::Platform;

use crate::binds;
use crate::check;
use crate::config::{Config, EndpointSettings, HostConfig, items};
use crate::containers::Container;
use crate::engine::Engine;
use crate::error::{Doing, EngineError, Result};
use crate::events::Attributes;
use crate::ident::{self, container_name, fresh_id};
use crate::merge;
use crate::record::{MountPoint, Record};
use crate::time::Stamp;
use crate::volumes::Volume;

/// A container that is wanted.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// `None`: the engine finds one.
    pub name: Option<String>,
    /// `os/arch[/variant]`; empty: whatever is here.
    pub platform: String,
    pub config: Config,
    pub host: HostConfig,
    /// By network name or id.
    pub endpoints: BTreeMap<String, EndpointSettings>,
}

impl Engine {
    /// Gives the id and the warnings.
    pub async fn create(self: &Arc<Self>, request: CreateRequest) -> Result<(String, Vec<String>)> {
        let (container, warnings) = self.blocking(move |e| e.create_now(request)).await?;
        self.tell(&container.record(), "create", &[]);
        Ok((container.id.clone(), warnings))
    }

    fn create_now(
        self: &Arc<Self>,
        request: CreateRequest,
    ) -> Result<(Arc<Container>, Vec<String>)> {
        let image = self.image_for(&request.config.image, &request.platform)?;
        let config = merge::with_image(request.config, &image.config.config);
        let warnings = check::check(&config, &request.host, &self.machine)?;
        let host = check::with_defaults(request.host, &self.machine);
        let (path, args) = merge::command_line(&config)?;
        let mut record = Record {
            id: fresh_id(),
            created: Stamp::now(),
            path,
            args,
            image_id: image.id.to_string(),
            manifest: image.manifest.digest.to_string(),
            platform: image.config.os.clone(),
            config,
            host,
            ..Record::default()
        };
        self.resolve_modes(&mut record)?;
        self.choose_endpoints(&mut record, request.endpoints)?;
        settle_hostname(&mut record);
        record.name = self.take_name(request.name.as_deref(), &record.id)?;
        let container = self.build(record.clone(), &image).inspect_err(|_| {
            self.unmake(&record);
        })?;
        Ok((container, warnings))
    }

    fn image_for(&self, wanted: &str, platform: &str) -> Result<Image> {
        if wanted.is_empty() {
            return Err(EngineError::invalid("no image specified"));
        }
        let id = self.images.resolve(wanted)?;
        let image = self.images.get(&id)?;
        if !platform.is_empty() {
            let asked = Platform::parse(platform).map_err(EngineError::invalid)?;
            if !image.config.platform().matches(&asked) {
                return Err(EngineError::not_found(format!(
                    "image with reference {wanted} was found but does not provide the specified \
                     platform ({platform})"
                )));
            }
        }
        Ok(image)
    }

    /// `container:NAME` modes become `container:ID`; the container must exist.
    fn resolve_modes(&self, record: &mut Record) -> Result<()> {
        let host = &mut record.host;
        for mode in [&mut host.network_mode, &mut host.pid_mode, &mut host.ipc_mode] {
            if let Some(wanted) = mode.strip_prefix("container:") {
                let other = self.containers.find(wanted)?;
                *mode = format!("container:{}", other.id);
            }
        }
        Ok(())
    }

    /// The networks to join at the start, by name; the network mode's own among them.
    fn choose_endpoints(
        &self,
        record: &mut Record,
        wanted: BTreeMap<String, EndpointSettings>,
    ) -> Result<()> {
        let mode = record.host.network_mode.clone();
        if mode.starts_with("container:") || mode == "sandbox" {
            return Ok(());
        }
        for (name, settings) in wanted {
            let name = if name == "default" { "bridge".to_owned() } else { name };
            // A network that is not there fails the start, not the creation, as with dockerd.
            let name = self.networks.find(&name).map_or(name, |n| n.record.name.clone());
            record.endpoints.insert(name, settings);
        }
        let known = self.networks.find(&mode).map(|n| n.record.name.clone());
        let own = known.unwrap_or(mode);
        if !ident::is_name(&own) {
            return Err(EngineError::invalid(format!("invalid network mode: {own}")));
        }
        let mac = record.config.mac_address.clone();
        let endpoint = record.endpoints.entry(own.clone()).or_default();
        if !mac.is_empty() && endpoint.mac_address.is_empty() {
            endpoint.mac_address = mac;
        }
        for endpoint in record.endpoints.values_mut() {
            *endpoint = std::mem::take(endpoint).asked();
        }
        record.host.network_mode = own;
        for (name, settings) in &record.endpoints {
            self.check_endpoint(name, settings)?;
        }
        Ok(())
    }

    pub(crate) fn check_endpoint(&self, name: &str, settings: &EndpointSettings) -> Result<()> {
        let chosen = settings.ipam_config.as_ref();
        let has_address =
            chosen.is_some_and(|c| !c.ipv4_address.is_empty() || !c.ipv6_address.is_empty());
        if has_address && crate::networks::PREDEFINED.contains(&name) {
            return Err(EngineError::invalid(
                "invalid config for network bridge: invalid endpoint settings:\nuser specified IP \
                 address is supported on user defined networks only",
            ));
        }
        Ok(())
    }

    fn take_name(&self, wanted: Option<&str>, id: &str) -> Result<String> {
        if let Some(wanted) = wanted.filter(|n| !n.is_empty()) {
            let name = container_name(wanted)?;
            self.containers.reserve(&name, id)?;
            return Ok(name);
        }
        for attempt in 0..6 {
            let name = ident::random_name(attempt);
            if self.containers.reserve(&name, id).is_ok() {
                return Ok(name);
            }
        }
        let name = ident::short(id).to_owned();
        self.containers.reserve(&name, id)?;
        Ok(name)
    }

    /// What takes room on disk, record last: without it everything else is half-made.
    fn build(self: &Arc<Self>, mut record: Record, image: &Image) -> Result<Arc<Container>> {
        let dir = self.containers.dir_of(&record.id);
        std::fs::create_dir_all(&dir).doing(|| format!("creating {}", dir.display()))?;
        self.images.snapshots().prepare(&record.id, &Base::Image(image.id.clone()))?;
        let inherited = self.inherited_mounts(&record.host)?;
        record.mounts = binds::wanted(&record.config, &record.host, inherited)?;
        for i in 0..record.mounts.len() {
            let mount = record.mounts[i].clone();
            record.mounts[i] = self.settle_mount(mount, &record, i)?;
        }
        // One that goes with its end has nothing to lose in a power cut.
        if !record.host.auto_remove {
            self.images.snapshots().persist(&record.id)?;
        }
        self.containers.insert(record)
    }

    /// Undoes a creation that failed.
    fn unmake(&self, record: &Record) {
        self.containers.unreserve(&record.name, &record.id);
        for key in self.images.snapshots().keys() {
            let ours = key == record.id || crate::imagemounts::owner(&key) == Some(&record.id);
            if ours && let Err(e) = self.images.snapshots().remove(&key) {
                eprintln!("engine: removing the snapshot of a failed creation: {e}");
            }
        }
        let _ = self.volumes.drop_made_for(std::slice::from_ref(&record.id));
        let _ = std::fs::remove_dir_all(self.containers.dir_of(&record.id));
    }

    /// `--volumes-from NAME[:ro|rw]`
    fn inherited_mounts(&self, host: &HostConfig) -> Result<Vec<MountPoint>> {
        let mut out = Vec::new();
        for from in items(&host.volumes_from) {
            let (name, mode) = from.split_once(':').unwrap_or((from, "rw"));
            if !matches!(mode, "ro" | "rw" | "z" | "Z") {
                return Err(EngineError::invalid(format!("invalid mode for volumes-from: {mode}")));
            }
            let other = self.containers.find(name)?;
            for mount in &other.record().mounts {
                let writable = mount.writable && mode != "ro";
                out.push(MountPoint { writable, copy_up: false, ..mount.clone() });
            }
        }
        Ok(out)
    }

    /// Makes the volume or finds the directory behind a mount.
    fn settle_mount(
        self: &Arc<Self>,
        mut mount: MountPoint,
        record: &Record,
        place: usize,
    ) -> Result<MountPoint> {
        match mount.kind.as_str() {
            "volume" if mount.source.is_empty() => {
                let labels = binds::volume_labels(&record.host, &mount.destination);
                let made_for = if mount.anonymous { record.id.clone() } else { String::new() };
                let name = mount.name.clone();
                let wanted = Volume { name, labels, made_for, ..Volume::default() };
                let (volume, new) = self.volumes.ensure(&wanted)?;
                if new {
                    let attributes = Attributes::new([("driver", "local")]);
                    self.events.publish("volume", "create", &volume.name, attributes);
                }
                mount.name = volume.name;
                mount.source = volume.mountpoint.to_string_lossy().into_owned();
                if mount.copy_up && mount.subpath.is_empty() {
                    self.mount_volumes(&Record {
                        mounts: vec![mount.clone()],
                        ..Record::default()
                    })?;
                    let filled = self.fill_volume(&mount, &record.id);
                    self.unmount_volumes(&Record { mounts: vec![mount.clone()], ..record.clone() });
                    filled?;
                }
            }
            "bind" => settle_bind(&mount)?,
            "image" => mount.source = self.image_view(place, &mount, &record.id)?,
            _ => {}
        }
        Ok(mount)
    }

    /// The image's content at the mount's place becomes the content of a still empty volume.
    fn fill_volume(&self, mount: &MountPoint, id: &str) -> Result<()> {
        let target = Path::new(&mount.source);
        let mut entries =
            std::fs::read_dir(target).doing(|| format!("reading {}", mount.source))?;
        if entries.next().is_some() {
            return Ok(());
        }
        let spec = self.images.snapshots().get(id)?;
        let inside = Path::new(mount.destination.trim_start_matches('/'));
        if !spec.lower.iter().any(|l| l.join(inside).symlink_metadata().is_ok()) {
            return Ok(());
        }
        self.with_root(&spec, id, |root| {
            let Ok(source) =
                crate::contain::open_in(root, inside, crate::contain::LastLink::Follow)
            else {
                return Ok(());
            };
            crate::copyup::copy_tree(&crate::contain::proc_path(&source), target)
        })
    }

    /// Mounts a root file system for the time of `work`, outside of every container.
    pub(crate) fn with_root<T>(
        &self,
        spec: &image::RootfsSpec,
        id: &str,
        work: impl FnOnce(&Path) -> Result<T>,
    ) -> Result<T> {
        let nonce = ident::fresh_id();
        let target: PathBuf = self.containers.dir_of(id).join(format!("root-{}", &nonce[..8]));
        std::fs::create_dir_all(&target).doing(|| format!("creating {}", target.display()))?;
        let result = image::mount(spec, &target).map_err(EngineError::from).and_then(|()| {
            let result = work(&target);
            let unmounted = image::unmount(&target);
            result.and_then(|value| unmounted.map(|()| value).map_err(EngineError::from))
        });
        let _ = std::fs::remove_dir(&target);
        result
    }
}

/// A missing source of `-v` is made at the start; of `--mount` it is an error at once.
fn settle_bind(mount: &MountPoint) -> Result<()> {
    let missing = || {
        EngineError::invalid(format!(
            "invalid mount config for type \"bind\": bind source path does not exist: {}",
            mount.source
        ))
    };
    match mount.options.as_str() {
        "must-exist" if !Path::new(&mount.source).exists() => Err(missing()),
        _ => Ok(()),
    }
}

/// The short id unless chosen; the machine's name on the machine's network.
fn settle_hostname(record: &mut Record) {
    let shares = record.host.network_mode == "host" || record.host.uts_mode == "host";
    if record.config.hostname.is_empty() && shares {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        record.config.hostname = name;
    } else if record.config.hostname.is_empty()
        && !record.host.network_mode.starts_with("container:")
    {
        record.config.hostname = record.short_id().to_owned();
    }
}
