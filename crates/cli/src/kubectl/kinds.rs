//! What the server has: kinds by every name they go by (aggregated discovery).

use crate::failure::Failure;
use crate::kubectl::text;
use meta::Value;
use remote::{Kube, escape};

/// A kind.
#[derive(Debug, Clone, Default)]
pub struct Kind {
    pub group: String,
    pub version: String,
    pub plural: String,
    pub singular: String,
    pub kind: String,
    pub short: Vec<String>,
    pub categories: Vec<String>,
    pub verbs: Vec<String>,
    pub namespaced: bool,
}

impl Kind {
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    fn root(&self) -> String {
        match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        }
    }

    /// The path of a collection, or of an object; `namespace` counts only where there are namespaces.
    pub fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let mut path = self.root();
        if let Some(namespace) = namespace.filter(|_| self.namespaced) {
            path.push_str(&format!("/namespaces/{}", escape(namespace)));
        }
        path.push_str(&format!("/{}", self.plural));
        if let Some(name) = name {
            path.push_str(&format!("/{}", escape(name)));
        }
        path
    }

    /// `deployment.apps`, as messages call it.
    pub fn word(&self) -> String {
        let singular =
            if self.singular.is_empty() { self.kind.to_lowercase() } else { self.singular.clone() };
        if self.group.is_empty() { singular } else { format!("{singular}.{}", self.group) }
    }

    /// `deployments.apps`
    pub fn qualified(&self) -> String {
        match self.group.as_str() {
            "" => self.plural.clone(),
            group => format!("{}.{group}", self.plural),
        }
    }

    fn is_called(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.plural == name
            || self.singular == name
            || self.kind.to_lowercase() == name
            || self.short.contains(&name)
    }
}

/// All of them, preferred versions first.
pub struct Kinds(pub Vec<Kind>);

const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

impl Kinds {
    pub async fn load(kube: &Kube) -> Result<Self, Failure> {
        let failed = |e: remote::Error| Failure::kube("ask the server what it has", &e);
        let (core, groups) =
            tokio::join!(kube.get_as("/api", ACCEPT), kube.get_as("/apis", ACCEPT));
        let mut out = Vec::new();
        for list in [core.map_err(failed)?, groups.map_err(failed)?] {
            for group in list["items"].as_array().into_iter().flatten() {
                for version in group["versions"].as_array().into_iter().flatten() {
                    let resources = version["resources"].as_array().into_iter().flatten();
                    out.extend(resources.map(|r| {
                        read(text(group, "/metadata/name"), text(version, "/version"), r)
                    }));
                }
            }
        }
        Ok(Self(out))
    }

    /// By `pods`, `po`, `deployments.apps` or `deployments.v1.apps`.
    pub fn find(&self, name: &str) -> Option<&Kind> {
        if let Some(kind) = self.0.iter().find(|kind| kind.is_called(name)) {
            return Some(kind);
        }
        let (resource, rest) = name.split_once('.')?;
        let fits = |kind: &&Kind| {
            kind.is_called(resource)
                && (kind.group == rest
                    || rest
                        .split_once('.')
                        .map_or(rest == kind.version && kind.group.is_empty(), |(v, g)| {
                            kind.version == v && kind.group == g
                        }))
        };
        self.0.iter().find(fits)
    }

    /// By what a manifest says.
    pub fn of(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        self.0.iter().find(|known| known.kind == kind && known.api_version() == api_version)
    }

    /// Those in a category such as `all`, each once.
    pub fn category(&self, name: &str) -> Vec<&Kind> {
        let mut out: Vec<&Kind> = Vec::new();
        for kind in self.0.iter().filter(|kind| kind.categories.iter().any(|c| c == name)) {
            if !out.iter().any(|k| k.plural == kind.plural && k.group == kind.group) {
                out.push(kind);
            }
        }
        out
    }

    /// # Errors
    /// kubectl's words for a kind that is not there.
    pub fn required(&self, name: &str) -> Result<&Kind, Failure> {
        self.find(name).ok_or_else(|| {
            let names: Vec<&str> = self.0.iter().map(|kind| kind.plural.as_str()).collect();
            let failure = Failure::plain(format!(
                "error: the server doesn't have a resource type \"{name}\""
            ));
            match crate::parse::nearest(name, &names) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint("`kubectl api-resources` lists what there is"),
            }
        })
    }
}

fn read(group: &str, version: &str, resource: &Value) -> Kind {
    let list = |key: &str| -> Vec<String> {
        let list = resource[key].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Kind {
        group: group.into(),
        version: version.into(),
        plural: text(resource, "/resource").into(),
        singular: text(resource, "/singularResource").into(),
        kind: text(resource, "/responseKind/kind").into(),
        short: list("shortNames"),
        categories: list("categories"),
        verbs: list("verbs"),
        namespaced: resource["scope"] == "Namespaced",
    }
}
