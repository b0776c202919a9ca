//! One row per operation, and how a path finds its row.

use std::future::Future;
use std::pin::Pin;

use http::Method;

use crate::body::Reply;
use crate::call::Call;
use crate::query::{Plus, decode};
use crate::refusal::Refusal;
use crate::version::ApiVersion;

pub type Answer = Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>>;

/// What becomes of the work when the client goes away before the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It is carried through: a half-done change helps nobody.
    Finish,
    /// It ends with the connection: reads, waits, transfers.
    WithClient,
}

pub struct Route {
    pub method: Method,
    /// Segments; `{x}` takes one, `{x..}` takes one or more (image names hold slashes).
    pub path: &'static str,
    pub since: ApiVersion,
    pub life: Life,
    pub call: fn(Call) -> Answer,
}

/// The values of the pattern's placeholders, decoded, or `None` when the path is another.
pub fn captures(pattern: &str, path: &str) -> Option<Vec<String>> {
    let wanted: Vec<&str> = pattern.split('/').collect();
    let given: Vec<&str> = path.split('/').collect();
    let greedy = wanted.iter().position(|w| w.ends_with("..}"));
    let fits = match greedy {
        None => wanted.len() == given.len(),
        Some(_) => given.len() >= wanted.len(),
    };
    if !fits {
        return None;
    }
    let Some(at) = greedy else { return pairs(&wanted, &given) };
    let tail = wanted.len() - at - 1;
    let end = given.len() - tail;
    let mut out = pairs(&wanted[..at], &given[..at])?;
    out.push(decode(&given[at..end].join("/"), Plus::Plus));
    out.extend(pairs(&wanted[at + 1..], &given[end..])?);
    Some(out)
}

fn pairs(wanted: &[&str], given: &[&str]) -> Option<Vec<String>> {
    let mut out = Vec::new();
    for (w, g) in wanted.iter().zip(given) {
        match w.starts_with('{') {
            true if g.is_empty() => return None,
            true => out.push(decode(g, Plus::Plus)),
            false if w != g => return None,
            false => {}
        }
    }
    Some(out)
}

/// The row for a request. HEAD has rows of its own where Docker has them.
pub fn find(
    routes: &'static [Route],
    method: &Method,
    path: &str,
    version: ApiVersion,
) -> Option<(&'static Route, Vec<String>)> {
    routes
        .iter()
        .filter(|r| r.method == *method && r.since <= version)
        .find_map(|r| captures(r.path, path).map(|c| (r, c)))
}

#[cfg(test)]
mod tests {
    use super::captures;

    #[test]
    fn patterns() {
        let c = |p, t| captures(p, t).map(|v| v.join("|"));
        assert_eq!(c("/containers/{id}/json", "/containers/a/json").as_deref(), Some("a"));
        assert_eq!(c("/containers/{id}/json", "/containers//json"), None);
        assert_eq!(c("/containers/json", "/containers/a"), None);
        let image = c("/images/{name..}/json", "/images/host:5000/a%2Fb/c/json");
        assert_eq!(image.as_deref(), Some("host:5000/a/b/c"));
        assert_eq!(c("/images/{name..}/json", "/images/json"), None);
        assert_eq!(c("/images/{name..}", "/images/a/b").as_deref(), Some("a/b"));
    }
}
