//! Commands on images that move no layers.

use super::format::{Sheet, ellipsis, short, text};
use super::{engine, transfer};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::Value;
use remote::escape;
use serde_json::json;

pub async fn tag(call: &Call) -> Result<u8, Failure> {
    let (source, target) = (&call.args[0], &call.args[1]);
    let (name, tag) = transfer::split_tag(target);
    let path = format!("/images/{source}/tag?repo={}&tag={}", escape(name), escape(tag));
    let done = engine(call)?.post(&path, None).await;
    done.map_err(|e| Failure::docker(format!("name `{source}` `{target}`"), &e))?;
    Ok(0)
}

pub async fn remove(call: &Call) -> Result<u8, Failure> {
    let engine = engine(call)?;
    let query = format!("force={}&noprune={}", call.has("force"), call.has("no-prune"));
    let mut code = 0;
    for name in &call.args {
        match engine.delete(&format!("/images/{name}?{query}")).await {
            Ok(done) => {
                for row in done.as_array().into_iter().flatten() {
                    for key in ["Untagged", "Deleted"] {
                        if let Some(name) = row[key].as_str() {
                            out::line(format!("{key}: {name}"));
                        }
                    }
                }
            }
            Err(e) => {
                Failure::docker(format!("remove the image `{name}`"), &e).tell(call.voice);
                code = 1;
            }
        }
    }
    Ok(code)
}

pub async fn commit(call: &Call) -> Result<u8, Failure> {
    let name = &call.args[0];
    let target = call.args.get(1).map_or("", String::as_str);
    let (repository, tag) = if target.is_empty() { ("", "") } else { transfer::split_tag(target) };
    let mut path = format!(
        "/commit?container={}&repo={}&tag={}&pause={}",
        escape(name),
        escape(repository),
        escape(tag),
        call.get("pause") != Some("false"),
    );
    for (flag, key) in [("author", "author"), ("message", "comment")] {
        path.push_str(&format!("&{key}={}", escape(call.get(flag).unwrap_or_default())));
    }
    for change in call.all("change") {
        path.push_str(&format!("&changes={}", escape(change)));
    }
    let done = engine(call)?.post(&path, Some(&json!({}))).await;
    let done = done.map_err(|e| Failure::docker(format!("make an image of `{name}`"), &e))?;
    out::line(text(&done["Id"]));
    Ok(0)
}

const HISTORY: Sheet = Sheet {
    fields: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
    columns: &["ID", "CreatedSince", "CreatedBy", "Size", "Comment"],
    quiet: "ID",
};

pub async fn history(call: &Call) -> Result<u8, Failure> {
    let name = &call.args[0];
    let list = engine(call)?.get(&format!("/images/{name}/history")).await;
    let list = list.map_err(|e| Failure::docker(format!("look at the image `{name}`"), &e))?;
    let trunc = !call.has("no-trunc");
    let human = call.get("human") != Some("false");
    let rows = list.as_array().into_iter().flatten().map(|one| {
        let created = one["Created"].as_i64().unwrap_or_default();
        let size = one["Size"].as_f64().unwrap_or_default();
        let by = text(&one["CreatedBy"]).replace('\t', " ");
        let id = text(&one["Id"]);
        let since = out::duration(jiff::Timestamp::now().as_second() - created);
        let at = jiff::Timestamp::from_second(created).map(|t| t.to_string()).unwrap_or_default();
        json!({
            "ID": if trunc { short(&id) } else { id },
            "CreatedSince": if human { format!("{since} ago") } else { at.clone() },
            "CreatedAt": at,
            "CreatedBy": if trunc { ellipsis(&by, 45) } else { by },
            "Size": if human { out::size(size, 3) } else { size.to_string() },
            "Comment": one["Comment"],
        })
    });
    HISTORY.print(call, HISTORY.columns, &rows.collect::<Vec<Value>>())?;
    Ok(0)
}
