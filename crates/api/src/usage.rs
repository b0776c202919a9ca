//! Objects that are measured when somebody asks, instead of stored: the seam behind `metrics.k8s.io`.

use crate::catalog::Catalog;
use crate::object;
use crate::server::Api;
use meta::Value;
use store::View;

/// Measures what nodes and pods use. Called for every read of the group, and by controllers that scale by usage.
pub trait Usage: Send + Sync {
    /// `NodeMetrics` and `PodMetrics` of this moment, without `resourceVersion`. What is not measured is left out.
    fn objects(&self, view: &View) -> Vec<Value>;
}

/// The API group whose objects are measured.
pub const GROUP: &str = "metrics.k8s.io";

impl Api {
    /// From now on `metrics.k8s.io` is served. Only the first call counts.
    pub fn serve_usage(&self, usage: Box<dyn Usage>) {
        // Who measures is settled once in a process's life.
        let _ = self.usage.set(usage);
    }

    /// The snapshot with the usage of this moment in it; the same snapshot where nobody measures.
    pub fn measured(&self, view: &View) -> View {
        let Some(usage) = self.usage.get() else { return view.clone() };
        let catalog = self.catalog(view);
        let draft = |value: Value| {
            let plural = if value["kind"] == "NodeMetrics" { "nodes" } else { "pods" };
            Some(object::draft(catalog.find(GROUP, "v1beta1", plural)?, value))
        };
        view.with(usage.objects(view).into_iter().filter_map(draft))
    }
}

impl Catalog {
    /// The built-in rows and those that are measured.
    pub(crate) fn with_measured() -> Self {
        let mut catalog = Self::built_in();
        kinds::MEASURED.iter().for_each(|row| catalog.add_row(row));
        catalog
    }
}
