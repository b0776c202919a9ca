//! `metrics.k8s.io/v1beta1`: what nodes measure. Nothing of it is stored; whoever serves it puts the numbers of the
//! moment into the snapshot (crate `api`, `Usage`).

use crate::row::KindRow;
use crate::rows::version;
use crate::table::{NAME, col, list, name, text};
use meta::{Quantity, Value};

pub static NODE_METRICS: KindRow = KindRow::cluster(
    "metrics.k8s.io",
    "NodeMetrics",
    "nodes",
    "",
    &[version("v1beta1", "io.k8s.metrics.pkg.apis.metrics.v1beta1.NodeMetrics")],
)
.read_only()
.table(&[NAME, col("cpu", "", ""), col("memory", "", ""), col("window", "", "")], |v, _| {
    vec![
        name(v),
        text(v, "usage.cpu").into(),
        text(v, "usage.memory").into(),
        text(v, "window").into(),
    ]
});

pub static POD_METRICS: KindRow = KindRow::namespaced(
    "metrics.k8s.io",
    "PodMetrics",
    "pods",
    "",
    &[version("v1beta1", "io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics")],
)
.read_only()
.table(&[NAME, col("cpu", "", ""), col("memory", "", ""), col("window", "", "")], |v, _| {
    vec![name(v), millis(v).into(), mebibytes(v).into(), text(v, "window").into()]
});

fn sum(pod: &Value, of: &str) -> i64 {
    let used = |c: &Value| Quantity::parse(&text(c, &format!("usage.{of}"))).ok();
    list(pod, "containers").iter().filter_map(used).map(|q| q.milli_value()).sum()
}

fn millis(pod: &Value) -> String {
    format!("{}m", sum(pod, "cpu"))
}

fn mebibytes(pod: &Value) -> String {
    format!("{}Ki", sum(pod, "memory") / 1000 / 1024)
}
