//! Images: list, inspect, history, tag, remove, prune, commit, search.

use engine::filter::Filters;
use engine::{CommitRequest, Engine, Stamp};
use image::{Force, Image};
use oci::Reference;
use serde_json::json;

use super::Handled;
use crate::body;
use crate::call::{self, Call};
use crate::refusal::Refusal;
use crate::{changes, reply, view};

const FILTERS: &[&str] = &["before", "dangling", "label", "reference", "since", "until"];

pub async fn list(call: Call) -> Handled {
    let filters = call.query.filters()?;
    filters.only(FILTERS).map_err(Refusal::from)?;
    let engine = &call.face.engine;
    let mut rows = Vec::new();
    for mut image in engine.images.list() {
        if passes(engine, &filters, &image)? {
            // A filtered list shows the names that were asked for, not the others.
            image.tags.retain(|tag| filters.any("reference", |p| fits(p, tag)));
            image.digests.retain(|name| filters.any("reference", |p| fits(p, name)));
            let mut row = view::image::row(&image, call.version);
            if call.query.flag("manifests") {
                row["Manifests"] = json!(view::image::manifests(engine, &image));
            }
            rows.push(row);
        }
    }
    Ok(reply::ok(&rows))
}

fn passes(engine: &Engine, filters: &Filters, image: &Image) -> Result<bool, Refusal> {
    let created = |name: &str| {
        let of = |i: &Image| Stamp::parse(&i.config.created).unwrap_or_default();
        engine.image(name).map(|i| of(&i))
    };
    let own = Stamp::parse(&image.config.created).unwrap_or_default();
    for before in filters.get("before") {
        if own >= created(before)? {
            return Ok(false);
        }
    }
    for since in filters.get("since") {
        if own <= created(since)? {
            return Ok(false);
        }
    }
    if engine::until(filters)?.is_some_and(|until| own > until) {
        return Ok(false);
    }
    let dangling = filters.has("dangling").then(|| filters.flag("dangling", false)).transpose()?;
    if dangling.is_some_and(|wanted| wanted != image.tags.is_empty()) {
        return Ok(false);
    }
    let label = |k: &str| image.config.config.labels.get(k).map(String::as_str);
    let matches = |pattern: &str| image.tags.iter().chain(&image.digests).any(|t| fits(pattern, t));
    Ok(filters.labels("label", label) && filters.any("reference", matches))
}

/// Shell patterns over the familiar name, with or without its tag.
fn fits(pattern: &str, name: &Reference) -> bool {
    let (full, bare) = (name.familiar(), name.familiar_name());
    glob(pattern.as_bytes(), full.as_bytes()) || glob(pattern.as_bytes(), bare.as_bytes())
}

/// Go's `path.Match` without character classes: `*` and `?` stop at slashes.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some(b'*'), _) => {
            glob(&pattern[1..], text)
                || text.first().is_some_and(|b| *b != b'/' && glob(pattern, &text[1..]))
        }
        (Some(b'?'), Some(b)) if *b != b'/' => glob(&pattern[1..], &text[1..]),
        (Some(p), Some(t)) if p == t => glob(&pattern[1..], &text[1..]),
        _ => false,
    }
}

pub async fn inspect(call: Call) -> Handled {
    let engine = &call.face.engine;
    let image = engine.image(call.param(0))?;
    let mut out = view::image::inspect(&image, call.version);
    if call.query.flag("manifests") {
        out["Manifests"] = json!(view::image::manifests(engine, &image));
    }
    Ok(reply::ok(&out))
}

pub async fn history(call: Call) -> Handled {
    let engine = &call.face.engine;
    let image = engine.image(call.param(0))?;
    let rows = engine.images.history(&image.id).map_err(engine::EngineError::from)?;
    Ok(reply::ok(&view::image::history(&rows)))
}

/// `repo` and `tag` of a query as one name; `None` when there is no repository.
pub(super) fn name_of(repo: &str, tag: &str) -> Result<Option<Reference>, Refusal> {
    if repo.is_empty() {
        return Ok(None);
    }
    let bad = |e: oci::ReferenceError| Refusal::bad_request(e.to_string());
    let name = Reference::parse(repo).map_err(bad)?;
    if name.digest().is_some() {
        return Err(Refusal::bad_request("refusing to create a tag with a digest reference"));
    }
    let name = if tag.is_empty() { name.or_latest() } else { name.with_tag(tag).map_err(bad)? };
    Ok(Some(name))
}

pub async fn tag(call: Call) -> Handled {
    let name = name_of(call.query.get("repo"), call.query.get("tag"))?;
    let name = name
        .ok_or_else(|| Refusal::bad_request("repository name must have at least one component"))?;
    call.face.engine.image_tag(call.param(0), name).await?;
    Ok(reply::empty(http::StatusCode::CREATED))
}

pub async fn remove(call: Call) -> Handled {
    let force = if call.query.flag("force") { Force::Yes } else { Force::No };
    let removed = call.face.engine.image_remove(call.param(0), force).await?;
    Ok(reply::ok(&view::image::removed(&removed)))
}

pub async fn prune(call: Call) -> Handled {
    let (removed, bytes) = call.face.engine.image_prune(&call.query.filters()?).await?;
    let rows = view::image::removed(&removed);
    let rows = if rows.is_empty() { json!(null) } else { json!(rows) };
    Ok(reply::ok(&json!({ "ImagesDeleted": rows, "SpaceReclaimed": bytes })))
}

/// The body may carry a whole configuration; `changes` are Dockerfile instructions on top.
pub async fn commit(call: Call) -> Handled {
    let Call { face, query, body, .. } = call;
    let bytes = body::whole(body).await?;
    let record = face.engine.inspect(query.get("container"))?;
    let mut config = match bytes.iter().all(u8::is_ascii_whitespace) {
        true => engine::image_defaults(&record.config),
        false => {
            let wanted: engine::config::Config = call::parse(&bytes)?;
            let base = engine::image_defaults(&record.config);
            engine::image_defaults(&engine::merge_config(wanted, &base))
        }
    };
    for change in query.all("changes") {
        changes::apply(&mut config, change).map_err(Refusal::bad_request)?;
    }
    let request = CommitRequest {
        container: record.id.clone(),
        name: name_of(query.get("repo"), query.get("tag"))?,
        author: query.get("author").to_owned(),
        comment: query.get("comment").to_owned(),
        pause: query.flag_or("pause", true),
        config: Some(config),
    };
    let id = face.engine.commit(request).await?;
    Ok(reply::created(&json!({ "Id": id.as_str() })))
}

/// `GET /images/search`; filters as moby `daemon/internal/../search.go` applies them.
pub async fn search(call: Call) -> Handled {
    let auth = super::transfer::credentials(&call)?;
    let filters = call.query.filters()?;
    filters.only(&["is-automated", "is-official", "stars"]).map_err(Refusal::from)?;
    let limit = match call.query.get("limit") {
        "" => 25,
        text => text.parse().ok().filter(|n| (1..=100).contains(n)).ok_or_else(|| {
            Refusal::bad_request(format!("limit {text} is outside the range of [1, 100]"))
        })?,
    };
    let engine = &call.face.engine;
    let found = engine.images.search(call.query.get("term"), limit, auth).await;
    let found = found.map_err(engine::EngineError::from)?;
    let flag = |key: &str, value: bool| filters.any(key, |wanted| wanted == value.to_string());
    let starred = |count: i64| filters.any("stars", |n| n.parse().is_ok_and(|n: i64| count >= n));
    let rows = found.into_iter().filter(|row| {
        flag("is-official", row.is_official)
            && flag("is-automated", row.is_automated)
            && starred(row.star_count)
    });
    Ok(reply::ok(&rows.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn globs() {
        let fits = |p: &str, t: &str| super::glob(p.as_bytes(), t.as_bytes());
        assert!(fits("busy*", "busybox:latest") && fits("b?x", "box") && fits("*/x:*", "a/x:1"));
        assert!(!fits("busy*", "a/busybox") && !fits("", "a") && !fits("*", "a/b"));
    }
}
