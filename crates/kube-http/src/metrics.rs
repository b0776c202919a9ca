//! What `/metrics` tells, in the Prometheus text format: few numbers, bounded in memory.

use crate::info::Info;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Paths and resources come from clients: no more series than this are kept.
const MAX_SERIES: usize = 2000;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    code: u16,
}

#[derive(Debug, Default)]
struct Totals {
    count: u64,
    seconds: f64,
}

#[derive(Debug, Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<Series, Totals>>,
}

impl Metrics {
    pub fn count(&self, info: &Info, code: u16, took: Duration) {
        let series = Series {
            verb: info.verb.to_uppercase(),
            group: info.group.clone(),
            version: info.version.clone(),
            resource: info.resource.clone(),
            subresource: info.subresource.clone(),
            code,
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() < MAX_SERIES || requests.contains_key(&series) {
            let totals = requests.entry(series).or_default();
            totals.count += 1;
            totals.seconds += took.as_secs_f64();
        }
    }

    /// `inflight` are reads and writes under way now.
    pub fn render(&self, inflight: [usize; 2]) -> String {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        let mut put = |line: std::fmt::Arguments<'_>| {
            out.write_fmt(line).expect("writing to a String does not fail");
        };
        put(format_args!("# HELP apiserver_request_total Counter of apiserver requests.\n"));
        put(format_args!("# TYPE apiserver_request_total counter\n"));
        for (s, totals) in &*requests {
            put(format_args!("apiserver_request_total{} {}\n", s.labels(), totals.count));
        }
        put(format_args!("# HELP apiserver_request_duration_seconds Response latency.\n"));
        put(format_args!("# TYPE apiserver_request_duration_seconds summary\n"));
        for (s, totals) in &*requests {
            let labels = s.labels();
            put(format_args!(
                "apiserver_request_duration_seconds_sum{labels} {}\n",
                totals.seconds
            ));
            put(format_args!(
                "apiserver_request_duration_seconds_count{labels} {}\n",
                totals.count
            ));
        }
        put(format_args!("# HELP apiserver_current_inflight_requests Requests under way.\n"));
        put(format_args!("# TYPE apiserver_current_inflight_requests gauge\n"));
        for (kind, now) in ["readOnly", "mutating"].iter().zip(inflight) {
            put(format_args!(
                "apiserver_current_inflight_requests{{request_kind=\"{kind}\"}} {now}\n"
            ));
        }
        out
    }
}

impl Series {
    fn labels(&self) -> String {
        let Self { verb, group, version, resource, subresource, code } = self;
        format!(
            "{{code=\"{code}\",group={group:?},resource={resource:?},subresource={subresource:?},verb={verb:?},version={version:?}}}"
        )
    }
}
