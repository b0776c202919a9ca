//! Images as `inspect` and lists show them; moby `api/types/image`.

use engine::{Engine, Stamp};
use image::{HistoryRow, Image, Removed};
use serde_json::{Value, json};

use crate::version::ApiVersion;

fn names(list: &[oci::Reference]) -> Vec<String> {
    list.iter().map(oci::Reference::familiar).collect()
}

/// One row of `GET /images/json`.
pub fn row(image: &Image, version: ApiVersion) -> Value {
    let created = Stamp::parse(&image.config.created).unwrap_or_default();
    let labels = &image.config.config.labels;
    let mut out = json!({
        "Id": image.id.as_str(),
        "ParentId": image.parent.as_ref().map_or("", |p| p.as_str()),
        "RepoTags": names(&image.tags),
        "RepoDigests": names(&image.digests),
        "Created": created.secs(),
        "Size": image.size,
        "SharedSize": -1,
        "Containers": -1,
        "Labels": if labels.is_empty() { Value::Null } else { json!(labels) },
    });
    if version < ApiVersion(1, 44) {
        out["VirtualSize"] = json!(image.size);
    }
    if version >= ApiVersion(1, 48) {
        out["Descriptor"] = json!(image.manifest);
    }
    if version < ApiVersion(1, 43) && image.tags.is_empty() {
        out["RepoTags"] = json!(["<none>:<none>"]);
    }
    out
}

/// `GET /images/{name}/json`
pub fn inspect(image: &Image, version: ApiVersion) -> Value {
    let config = &image.config;
    let layers: Vec<&str> = config.rootfs.diff_ids.iter().map(|d| d.as_str()).collect();
    let mut out = json!({
        "Id": image.id.as_str(),
        "RepoTags": names(&image.tags),
        "RepoDigests": names(&image.digests),
        "Parent": image.parent.as_ref().map_or("", |p| p.as_str()),
        "Comment": config.comment,
        "Created": config.created,
        "DockerVersion": "",
        "Author": config.author,
        "Architecture": config.architecture,
        "Os": config.os,
        "Size": image.size,
        "GraphDriver": { "Data": null, "Name": "overlay2" },
        "RootFS": { "Type": "layers", "Layers": layers },
        "Metadata": { "LastTagTime": tagged(image) },
        "Config": container_config(image, version),
    });
    if !config.variant.is_empty() {
        out["Variant"] = json!(config.variant);
    }
    if version < ApiVersion(1, 44) {
        out["VirtualSize"] = json!(image.size);
    }
    if version >= ApiVersion(1, 48) {
        out["Descriptor"] = json!(image.manifest);
    }
    out
}

fn tagged(image: &Image) -> String {
    match image.last_tagged.as_str() {
        "" => Stamp::NEVER.rfc3339_nano(),
        stamp => stamp.to_owned(),
    }
}

/// 1.50 shows what an image can hold; before that it looked like a container's configuration.
fn container_config(image: &Image, version: ApiVersion) -> Value {
    let config = &image.config.config;
    let mut out = json!(config);
    let old = json!({
        "Hostname": "", "Domainname": "", "AttachStdin": false, "AttachStdout": false,
        "AttachStderr": false, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Image": "",
        "User": "", "Env": null, "Cmd": null, "Volumes": null, "WorkingDir": "",
        "Entrypoint": null, "OnBuild": null, "Labels": null,
    });
    let basic = ["User", "Env", "Cmd", "Volumes", "WorkingDir", "Entrypoint", "OnBuild", "Labels"];
    for (key, value) in old.as_object().into_iter().flatten() {
        if out.get(key).is_none() && (version < ApiVersion(1, 50) || basic.contains(&key.as_str()))
        {
            out[key] = value.clone();
        }
    }
    out
}

pub fn history(rows: &[HistoryRow]) -> Vec<Value> {
    let one = |row: &HistoryRow| {
        let tags = names(&row.tags);
        json!({
            "Id": row.id.as_ref().map_or("<missing>", |id| id.as_str()),
            "Created": Stamp::parse(&row.created).unwrap_or_default().secs(),
            "CreatedBy": row.created_by,
            "Tags": if tags.is_empty() { Value::Null } else { json!(tags) },
            "Size": row.size,
            "Comment": row.comment,
        })
    };
    rows.iter().map(one).collect()
}

pub fn removed(lines: &[Removed]) -> Vec<Value> {
    let one = |line: &Removed| match line {
        Removed::Untagged(name) => json!({ "Untagged": name }),
        Removed::Deleted(digest) => json!({ "Deleted": digest.as_str() }),
    };
    lines.iter().map(one).collect()
}

/// The one manifest of an image, as `docker image ls --tree` wants it.
pub fn manifests(engine: &Engine, image: &Image) -> Vec<Value> {
    let users: Vec<String> = engine.image_users(&image.id).iter().map(|r| r.id.clone()).collect();
    let config = &image.config;
    let mut platform = json!({ "architecture": config.architecture, "os": config.os });
    if !config.variant.is_empty() {
        platform["variant"] = json!(config.variant);
    }
    vec![json!({
        "ID": image.manifest.digest.as_str(),
        "Descriptor": image.manifest,
        "Available": true,
        "Kind": "image",
        "Size": { "Content": image.manifest.size, "Total": image.size },
        "ImageData": {
            "Platform": platform,
            "Size": { "Unpacked": image.size },
            "Containers": users,
        },
    })]
}
