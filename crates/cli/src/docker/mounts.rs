//! `-v`, `--mount` and `--tmpfs`.

use super::options::bytes;
use crate::failure::Failure;
use crate::parse::Call;
use meta::{Map, Value};
use serde_json::json;

/// Puts what the options say into the bodies of `create`.
///
/// # Errors
/// The option that cannot be understood.
pub fn options(call: &Call, body: &mut Map, host: &mut Map) -> Result<(), Failure> {
    let (mut binds, mut anonymous) = (Vec::new(), Map::new());
    for text in call.all("volume") {
        match text.split_once(':') {
            None => {
                anonymous.insert(text.clone(), json!({}));
            }
            Some((source, rest)) => binds.push(format!("{}:{rest}", absolute(source))),
        }
    }
    body.insert("Volumes".into(), Value::Object(anonymous));
    host.insert("Binds".into(), binds.into());
    let tmpfs = call.all("tmpfs").iter().map(|text| {
        let (path, options) = text.split_once(':').unwrap_or((text, ""));
        (path.to_owned(), Value::from(options))
    });
    host.insert("Tmpfs".into(), Value::Object(tmpfs.collect()));
    if !call.all("volumes-from").is_empty() {
        host.insert("VolumesFrom".into(), call.all("volumes-from").into());
    }
    let mut mounts = Vec::new();
    for text in call.all("mount") {
        mounts.push(mount(text).map_err(|why| call.bad_value("mount", text, &why))?);
    }
    host.insert("Mounts".into(), mounts.into());
    Ok(())
}

/// A path that starts here is told from a volume's name by its dot.
fn absolute(source: &str) -> String {
    let is_relative =
        source == "." || source == ".." || source.starts_with("./") || source.starts_with("../");
    let here = std::env::current_dir().ok().filter(|_| is_relative);
    here.map_or_else(
        || source.to_owned(),
        |here| {
            here.join(source)
                .components()
                .collect::<std::path::PathBuf>()
                .to_string_lossy()
                .into_owned()
        },
    )
}

/// `type=bind,source=/a,target=/b,readonly`
fn mount(text: &str) -> Result<Value, String> {
    let mut out = json!({ "Type": "volume" });
    for part in text.split(',') {
        let (key, value) = part.split_once('=').unwrap_or((part, "true"));
        let wrong = || format!("invalid value for {key}: {value}");
        let on = || {
            value
                .parse::<bool>()
                .or(if value == "1" { Ok(true) } else { Err(()) })
                .map_err(|()| wrong())
        };
        match key.to_lowercase().as_str() {
            "type" => out["Type"] = value.into(),
            "source" | "src" => out["Source"] = absolute(value).into(),
            "target" | "dst" | "destination" => out["Target"] = value.into(),
            "readonly" | "ro" => {
                out["ReadOnly"] = value.parse::<bool>().unwrap_or(value == "1").into()
            }
            "consistency" => out["Consistency"] = value.into(),
            "bind-propagation" => out["BindOptions"]["Propagation"] = value.into(),
            "bind-nonrecursive" => out["BindOptions"]["NonRecursive"] = on()?.into(),
            "bind-create-host-path" => out["BindOptions"]["CreateMountpoint"] = on()?.into(),
            "volume-nocopy" => out["VolumeOptions"]["NoCopy"] = on()?.into(),
            "volume-subpath" => out["VolumeOptions"]["Subpath"] = value.into(),
            "volume-driver" => out["VolumeOptions"]["DriverConfig"]["Name"] = value.into(),
            "volume-label" => {
                let (key, value) = value.split_once('=').unwrap_or((value, ""));
                out["VolumeOptions"]["Labels"][key] = value.into();
            }
            "volume-opt" => {
                let (key, value) = value.split_once('=').unwrap_or((value, ""));
                out["VolumeOptions"]["DriverConfig"]["Options"][key] = value.into();
            }
            "tmpfs-size" => {
                out["TmpfsOptions"]["SizeBytes"] = bytes(value).ok_or_else(wrong)?.into()
            }
            "tmpfs-mode" => {
                let mode = u32::from_str_radix(value, 8).map_err(|_| wrong())?;
                out["TmpfsOptions"]["Mode"] = mode.into();
            }
            "image-subpath" => out["ImageOptions"]["Subpath"] = value.into(),
            _ => return Err(format!("unknown option '{key}' in '{part}'")),
        }
    }
    if out.get("Target").is_none() {
        return Err("target is required".into());
    }
    Ok(out)
}
