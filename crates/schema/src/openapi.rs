//! OpenAPI documents of the served API: v3 per group and version, v2 for everything at once.
//!
//! The caller says which resources are served; everything else follows from the schemas. Shapes follow
//! k8s.io/kube-openapi's builders. The legacy `/watch/` paths are not listed.

mod custom;
mod definitions;
mod describe;
mod gnostic;
mod paths;
#[cfg(test)]
mod tests;

pub use gnostic::encode_v2;

use definitions::Definitions;
use meta::{Gvk, Map, Value};
use serde_json::json;

/// One served resource in one version.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedResource {
    pub gvk: Gvk,
    pub plural: String,
    pub namespaced: bool,
    /// Discovery verbs: `get`, `list`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verbs: Vec<String>,
    pub subresources: Vec<ServedSubresource>,
    /// Set for custom resources.
    pub custom: Option<CustomSchema>,
}

/// `status`, `scale`, ... with the kind its bodies have.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedSubresource {
    pub name: String,
    pub gvk: Gvk,
    pub verbs: Vec<String>,
}

/// What a CRD says about one of its versions.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomSchema {
    /// `openAPIV3Schema` as it was written; null when there is none.
    pub schema: Value,
    pub list_kind: String,
}

/// Which of the two dialects is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    V2,
    V3,
}

impl Dialect {
    pub(crate) fn reference(self, name: &str) -> String {
        match self {
            Self::V2 => format!("#/definitions/{name}"),
            Self::V3 => format!("#/components/schemas/{name}"),
        }
    }
}

/// The v3 document of one group and version: `resources` must all be of it.
pub fn openapi_v3(resources: &[ServedResource], version: &str) -> Value {
    let (paths, schemas) = build(resources, Dialect::V3);
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"BearerToken": bearer()},
        },
    })
}

/// The v2 document of everything served.
pub fn openapi_v2(resources: &[ServedResource], version: &str) -> Value {
    let (paths, definitions) = build(resources, Dialect::V2);
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": paths,
        "definitions": definitions,
        "securityDefinitions": {"BearerToken": bearer()},
        "security": [{"BearerToken": []}],
    })
}

fn bearer() -> Value {
    json!({
        "type": "apiKey",
        "description": "Bearer Token authentication",
        "name": "authorization",
        "in": "header",
    })
}

fn build(resources: &[ServedResource], dialect: Dialect) -> (Map, Map) {
    let mut definitions = Definitions::new(dialect);
    let mut paths = Map::new();
    for resource in resources {
        paths::add(&mut paths, &mut definitions, resource, dialect);
    }
    (paths, definitions.finish())
}
