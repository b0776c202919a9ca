//! Content negotiation (apiserver `pkg/endpoints/handlers/negotiation/negotiate.go`).

use meta::{Problem, Reason};

/// What the client will read, chosen from its `Accept`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    pub media: Media,
    pub view: Form,
    /// `pretty=true`
    pub pretty: Pretty,
    /// How much of each object a table row carries.
    pub include: Include,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    Json,
    Yaml,
    Protobuf,
}

/// The form objects are shown in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    AsIs,
    /// `as=Table` of meta.k8s.io; the version asked for.
    Table(String),
    /// `as=PartialObjectMetadata` or its list.
    Partial(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pretty {
    No,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    Metadata,
    Object,
    None,
}

impl Shape {
    pub const JSON: Self = Self {
        media: Media::Json,
        view: Form::AsIs,
        pretty: Pretty::No,
        include: Include::Metadata,
    };

    /// The `Content-Type` of a response in this shape. Only streams name their transformation.
    pub fn content_type(&self, stream: Stream) -> String {
        let base = plain(self.media, stream);
        let (form, version) = match (&self.view, stream) {
            (Form::AsIs, _) | (_, Stream::No) => return base.into(),
            (Form::Table(version), _) => ("Table", version),
            (Form::Partial(version), _) => ("PartialObjectMetadata", version),
        };
        format!("{base};as={form};g=meta.k8s.io;v={version}")
    }
}

/// Whether the response is a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    No,
    Yes,
}

fn plain(media: Media, stream: Stream) -> &'static str {
    match (media, stream) {
        (Media::Json, _) => "application/json",
        (Media::Yaml, _) => "application/yaml",
        (Media::Protobuf, Stream::No) => "application/vnd.kubernetes.protobuf",
        (Media::Protobuf, Stream::Yes) => "application/vnd.kubernetes.protobuf;stream=watch",
    }
}

/// One clause of an Accept header.
#[derive(Debug, Clone, PartialEq)]
pub struct Clause {
    pub kind: String,
    pub params: Vec<(String, String)>,
    pub quality: f32,
}

impl Clause {
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v)
    }
}

/// Clauses in the order of preference.
pub fn clauses(accept: &str) -> Vec<Clause> {
    let mut all: Vec<_> = accept.split(',').filter_map(clause).collect();
    all.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    all
}

fn clause(text: &str) -> Option<Clause> {
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().filter(|k| !k.is_empty())?.to_lowercase();
    let mut found = Clause { kind, params: Vec::new(), quality: 1.0 };
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim().trim_matches('"');
        match key.trim() {
            "q" => found.quality = value.parse().unwrap_or(1.0),
            key => found.params.push((key.to_lowercase(), value.into())),
        }
    }
    Some(found)
}

/// What a kind can be shown as.
#[derive(Debug, Clone, Copy)]
pub struct Offers {
    pub table: bool,
    pub partial: bool,
    pub protobuf: bool,
}

const ACCEPTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// The first clause that can be served.
///
/// # Errors
/// 406 when there is none.
pub fn negotiate(accept: &str, offers: Offers, stream: Stream) -> Result<Shape, Problem> {
    if accept.trim().is_empty() {
        return Ok(Shape::JSON);
    }
    let found = clauses(accept).iter().find_map(|c| offer(c, offers, stream));
    found.ok_or_else(|| not_acceptable(offers))
}

fn not_acceptable(offers: Offers) -> Problem {
    let types = match offers.protobuf {
        true => ACCEPTED,
        false => "application/json, application/yaml",
    };
    Problem::new(
        Reason::NotAcceptable,
        format!("only the following media types are accepted: {types}"),
    )
}

fn offer(clause: &Clause, offers: Offers, stream: Stream) -> Option<Shape> {
    let media = match clause.kind.as_str() {
        "application/json" | "*/*" | "application/*" => Media::Json,
        "application/yaml" | "application/x-yaml" if stream == Stream::No => Media::Yaml,
        "application/vnd.kubernetes.protobuf" if offers.protobuf => Media::Protobuf,
        _ => return None,
    };
    let version = clause.param("v").to_string();
    let view = match clause.param("as") {
        "" => Form::AsIs,
        _ if clause.param("g") != "meta.k8s.io" || !matches!(&*version, "v1" | "v1beta1") => {
            return None;
        }
        "Table" if offers.table && media != Media::Protobuf => Form::Table(version),
        "PartialObjectMetadata" | "PartialObjectMetadataList" if offers.partial => {
            Form::Partial(version)
        }
        _ => return None,
    };
    Some(Shape { media, view, ..Shape::JSON })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Offers = Offers { table: true, partial: true, protobuf: true };

    #[test]
    fn kubectl_gets_tables() {
        let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let shape = negotiate(accept, ALL, Stream::No).unwrap();
        assert_eq!(shape.view, Form::Table("v1".into()));
        let none = Offers { table: false, ..ALL };
        assert_eq!(negotiate(accept, none, Stream::No).unwrap().view, Form::AsIs);
        let only = "application/json;as=Table;v=v1;g=meta.k8s.io";
        assert_eq!(negotiate(only, none, Stream::No).unwrap_err().code(), 406);
    }

    #[test]
    fn quality_orders() {
        let accept = "application/json;q=0.5, application/vnd.kubernetes.protobuf";
        assert_eq!(negotiate(accept, ALL, Stream::No).unwrap().media, Media::Protobuf);
        assert_eq!(negotiate("text/html, */*;q=0.1", ALL, Stream::No).unwrap().media, Media::Json);
        assert_eq!(negotiate("text/html", ALL, Stream::No).unwrap_err().code(), 406);
    }
}
