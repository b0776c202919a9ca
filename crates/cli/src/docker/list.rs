//! Lists: `ps`, `images`, `network ls`, `volume ls`.

use super::engine;
use super::format::{Sheet, ellipsis, filters, short, text};
use super::ports;
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::Value;
use remote::Docker;
use serde_json::json;

const CONTAINERS: Sheet = Sheet {
    fields: &[
        ("ID", "CONTAINER ID"),
        ("Names", "NAMES"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Ports", "PORTS"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("Size", "SIZE"),
        ("Labels", "LABELS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Mounts", "MOUNTS"),
        ("Networks", "NETWORKS"),
    ],
    columns: &["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"],
    quiet: "ID",
};

async fn rows(engine: &Docker, path: &str, what: &str) -> Result<Vec<Value>, Failure> {
    let answer = engine.get(path).await.map_err(|e| Failure::docker(what, &e))?;
    Ok(answer.as_array().cloned().unwrap_or_default())
}

pub async fn containers(call: &Call) -> Result<u8, Failure> {
    let limit: Option<i64> = if call.has("latest") { Some(1) } else { call.number("last")? };
    let all = call.has("all") || limit.is_some();
    let size = call.has("size") || call.get("format").is_some_and(|f| f.contains(".Size"));
    let path = format!(
        "/containers/json?all={all}&size={size}&limit={}&filters={}",
        limit.unwrap_or(0),
        filters(call, &[])?
    );
    let list = rows(&engine(call)?, &path, "list the containers").await?;
    let trunc = !call.has("no-trunc");
    let list: Vec<Value> = list.iter().map(|one| container(one, trunc)).collect();
    let mut columns = CONTAINERS.columns.to_vec();
    if call.has("size") {
        columns.push("Size");
    }
    CONTAINERS.print(call, &columns, &list)?;
    Ok(0)
}

fn container(one: &Value, trunc: bool) -> Value {
    let id = text(&one["Id"]);
    let command = text(&one["Command"]);
    let command = if trunc { ellipsis(&command, 20) } else { command };
    let created = one["Created"].as_i64().unwrap_or_default();
    json!({
        "ID": if trunc { short(&id) } else { id },
        "Names": names(one),
        "Image": image_of(one, trunc),
        "Command": format!("{command:?}"),
        "CreatedAt": local(created),
        "RunningFor": format!("{} ago", since(created)),
        "Platform": null,
        "Ports": ports::displayed(&one["Ports"]),
        "State": one["State"],
        "Status": one["Status"],
        "Size": sizes(one),
        "Labels": labels(&one["Labels"]),
        "LocalVolumes": count_local(one).to_string(),
        "Mounts": mounts(one, trunc),
        "Networks": one["NetworkSettings"]["Networks"].as_object()
            .map(|map| map.keys().cloned().collect::<Vec<_>>().join(",")).unwrap_or_default(),
    })
}

fn names(one: &Value) -> String {
    let names = one["Names"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<&str> = names.map(|name| name.trim_start_matches('/')).collect();
    names.iter().filter(|name| !name.contains('/')).copied().collect::<Vec<_>>().join(",")
}

fn image_of(one: &Value, trunc: bool) -> String {
    let image = text(&one["Image"]);
    match image.as_str() {
        "" => "<no image>".into(),
        id if trunc && (id.starts_with("sha256:") || one["ImageID"] == *id) => short(id),
        _ => image,
    }
}

fn sizes(one: &Value) -> String {
    let number = |key: &str| one[key].as_f64().unwrap_or_default();
    let own = out::size(number("SizeRw"), 3);
    match number("SizeRootFs") {
        root if root > 0.0 => format!("{own} (virtual {})", out::size(root, 3)),
        _ => own,
    }
}

fn labels(value: &Value) -> String {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(key, value)| format!("{key}={}", text(value))).collect::<Vec<_>>().join(",")
}

fn count_local(one: &Value) -> usize {
    let mounts = one["Mounts"].as_array().into_iter().flatten();
    mounts.filter(|mount| mount["Driver"] == "local").count()
}

fn mounts(one: &Value, trunc: bool) -> String {
    let mounts = one["Mounts"].as_array().into_iter().flatten().map(|mount| {
        let name = text(&mount["Name"]);
        let name = if name.is_empty() { text(&mount["Source"]) } else { name };
        if trunc { ellipsis(&name, 15) } else { name }
    });
    mounts.collect::<Vec<_>>().join(",")
}

fn since(unix: i64) -> String {
    out::duration(jiff::Timestamp::now().as_second() - unix)
}

/// `2026-01-02 15:04:05 +0000 UTC`
fn local(unix: i64) -> String {
    let Ok(time) = jiff::Timestamp::from_second(unix) else { return String::new() };
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

const IMAGES: Sheet = Sheet {
    fields: &[
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("Containers", "CONTAINERS"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("VirtualSize", "SIZE"),
    ],
    columns: &["Repository", "Tag", "ID", "CreatedSince", "Size"],
    quiet: "ID",
};

pub async fn images(call: &Call) -> Result<u8, Failure> {
    let reference = call.args.first().map(|name| ("reference", name.as_str()));
    let filters = filters(call, reference.as_slice())?;
    let path = format!("/images/json?all={}&filters={filters}", call.has("all"));
    let list = rows(&engine(call)?, &path, "list the images").await?;
    let (trunc, digests) = (!call.has("no-trunc"), call.has("digests"));
    let rows: Vec<Value> = list.iter().flat_map(|one| image_rows(one, trunc, digests)).collect();
    let columns: &[&str] = match digests {
        true => &["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"],
        false => IMAGES.columns,
    };
    IMAGES.print(call, columns, &rows)?;
    Ok(0)
}

/// One row for each name of an image; with digests, one for each name under its digest.
fn image_rows(one: &Value, trunc: bool, digests: bool) -> Vec<Value> {
    let id = text(&one["Id"]);
    let created = one["Created"].as_i64().unwrap_or_default();
    let row = |repository: &str, tag: &str, digest: &str| {
        json!({
            "ID": if trunc { short(&id) } else { id.clone() },
            "Repository": repository,
            "Tag": tag,
            "Digest": digest,
            "CreatedSince": format!("{} ago", since(created)),
            "CreatedAt": local(created),
            "Size": out::size(one["Size"].as_f64().unwrap_or_default(), 3),
            "Containers": "N/A",
            "SharedSize": "N/A",
            "UniqueSize": "N/A",
            "VirtualSize": out::size(one["Size"].as_f64().unwrap_or_default(), 3),
        })
    };
    let list = |key: &str| -> Vec<String> {
        one[key]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .filter(|t| !t.contains("<none>"))
            .collect()
    };
    let digest_of = |repository: &str| {
        let found = list("RepoDigests");
        let found =
            found.iter().filter_map(|d| d.split_once('@')).find(|(name, _)| *name == repository);
        found.filter(|_| digests).map_or("<none>".to_owned(), |(_, digest)| digest.to_owned())
    };
    let tags = list("RepoTags");
    if tags.is_empty() {
        let name =
            list("RepoDigests").first().and_then(|d| d.split_once('@').map(|d| d.0.to_owned()));
        let name = name.unwrap_or_else(|| "<none>".into());
        return vec![row(&name, "<none>", &digest_of(&name))];
    }
    let tags = tags.iter().filter_map(|tag| tag.rsplit_once(':'));
    tags.map(|(name, tag)| row(name, tag, &digest_of(name))).collect()
}

const NETWORKS: Sheet = Sheet {
    fields: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ],
    columns: &["ID", "Name", "Driver", "Scope"],
    quiet: "ID",
};

pub async fn networks(call: &Call) -> Result<u8, Failure> {
    let path = format!("/networks?filters={}", filters(call, &[])?);
    let mut list = rows(&engine(call)?, &path, "list the networks").await?;
    list.sort_by_key(|one| text(&one["Name"]));
    let trunc = !call.has("no-trunc");
    let rows: Vec<Value> = list
        .iter()
        .map(|one| {
            let id = text(&one["Id"]);
            json!({
                "ID": if trunc { short(&id) } else { id },
                "Name": one["Name"], "Driver": one["Driver"], "Scope": one["Scope"],
                "IPv4": one["EnableIPv4"].as_bool().unwrap_or(true).to_string(),
                "IPv6": one["EnableIPv6"].as_bool().unwrap_or(false).to_string(),
                "Internal": one["Internal"].as_bool().unwrap_or(false).to_string(),
                "Labels": labels(&one["Labels"]), "CreatedAt": text(&one["Created"]).replace('T', " ").replace('Z', " +0000 UTC"),
            })
        })
        .collect();
    NETWORKS.print(call, NETWORKS.columns, &rows)?;
    Ok(0)
}

const VOLUMES: Sheet = Sheet {
    fields: &[
        ("Name", "VOLUME NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
    ],
    columns: &["Driver", "Name"],
    quiet: "Name",
};

pub async fn volumes(call: &Call) -> Result<u8, Failure> {
    let path = format!("/volumes?filters={}", filters(call, &[])?);
    let answer = engine(call)?.get(&path).await;
    let answer = answer.map_err(|e| Failure::docker("list the volumes", &e))?;
    let mut list = answer["Volumes"].as_array().cloned().unwrap_or_default();
    list.sort_by_key(|one| text(&one["Name"]));
    let rows: Vec<Value> = list
        .iter()
        .map(|one| {
            json!({
                "Name": one["Name"], "Driver": one["Driver"], "Scope": one["Scope"],
                "Mountpoint": one["Mountpoint"], "Labels": labels(&one["Labels"]),
                "Links": "N/A", "Size": "N/A",
            })
        })
        .collect();
    VOLUMES.print(call, VOLUMES.columns, &rows)?;
    Ok(0)
}
