//! `get`: tables as the server draws them, or objects in any format; once or as they change.

use super::kinds::{Kind, Kinds};
use super::print::Output;
use super::select::{self, Wanted};
use super::{Cluster, cluster, text};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::Value;
use remote::{Error, escape};
use serde_json::json;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

pub async fn get(call: &Call) -> Result<u8, Failure> {
    let cluster = cluster(call)?;
    if let Some(path) = call.get("raw") {
        let bytes =
            cluster.kube.text(path).await.map_err(|e| Failure::kube(format!("get {path}"), &e))?;
        out::write(&bytes);
        return Ok(0);
    }
    let kinds = Kinds::load(&cluster.kube).await?;
    let output = Output::of(call)?;
    let wanted = select::wanted(call, &cluster, &kinds, &call.args).await?;
    if wanted.is_empty() {
        let message = "error: You must specify the type of resource to get.";
        return Err(Failure::plain(message).hint("`kubectl api-resources` lists what there is"));
    }
    let asked = Asked { call, cluster: &cluster, kinds: &kinds, output: &output };
    if call.has("watch") || call.has("watch-only") {
        return asked.watch(&wanted).await;
    }
    match output.is_plain() {
        true => asked.tables(&wanted).await,
        false => asked.objects(&wanted).await,
    }
}

struct Asked<'a> {
    call: &'a Call,
    cluster: &'a Cluster,
    kinds: &'a Kinds,
    output: &'a Output,
}

impl Asked<'_> {
    fn namespace<'b>(&'b self, one: &'b Wanted) -> Option<&'b str> {
        let own = one.namespace.as_deref().unwrap_or(&self.cluster.namespace);
        Some(own).filter(|_| !self.call.has("all-namespaces"))
    }

    /// Paths of everything wanted: a collection, or each name.
    fn paths(&self, one: &Wanted) -> Vec<String> {
        let namespace = self.namespace(one);
        if one.names.is_empty() {
            let query = select::query(self.call);
            return vec![format!("{}?{query}", one.kind.path(namespace, None))];
        }
        one.names.iter().map(|name| format!("{}?", one.kind.path(namespace, Some(name)))).collect()
    }

    /// A failure, unless it is one the call ignores.
    fn ignored(&self, one: &Wanted, error: &Error) -> Result<(), Failure> {
        if error.is_not_found() && self.call.has("ignore-not-found") {
            return Ok(());
        }
        Err(Failure::kube(format!("get {}", one.kind.qualified()), error))
    }

    async fn objects(&self, wanted: &[Wanted]) -> Result<u8, Failure> {
        let (mut items, mut code) = (Vec::new(), 0);
        for one in wanted {
            for path in self.paths(one) {
                match self.cluster.kube.get(&path).await {
                    Ok(value) if value.get("items").is_some() => items.extend(listed(one, value)),
                    Ok(value) => items.push(value),
                    Err(e) => match self.ignored(one, &e) {
                        Ok(()) => {}
                        Err(failure) => {
                            failure.tell(self.call.voice);
                            code = 1;
                        }
                    },
                }
            }
        }
        if items.is_empty() && code != 0 {
            return Ok(code);
        }
        self.sort(&mut items, |item| item)?;
        let single = matches!(wanted, [one] if one.names.len() == 1);
        let whole = match (single, items.len()) {
            (true, 0) => return Ok(code),
            (true, _) => items.remove(0),
            _ => {
                let version = json!({ "resourceVersion": "" });
                json!({ "apiVersion": "v1", "kind": "List", "items": items, "metadata": version })
            }
        };
        self.output.object(self.call, self.kinds, &whole, "")?;
        Ok(code)
    }

    /// By the path `--sort-by` names.
    fn sort(&self, items: &mut [Value], object: impl Fn(&Value) -> &Value) -> Result<(), Failure> {
        let Some(path) = self.call.get("sort-by") else { return Ok(()) };
        let template = super::jsonpath::Template::relaxed(path);
        let template = template.map_err(|why| self.call.bad_value("sort-by", path, &why))?;
        let key = |item: &Value| template.find(object(item)).first().copied().cloned();
        items.sort_by(|a, b| match (key(a), key(b)) {
            (Some(Value::Number(a)), Some(Value::Number(b))) => {
                a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0))
            }
            (a, b) => a.map(|v| v.to_string()).cmp(&b.map(|v| v.to_string())),
        });
        Ok(())
    }

    async fn tables(&self, wanted: &[Wanted]) -> Result<u8, Failure> {
        let several = wanted.len() > 1;
        let (mut printed, mut code) = (0, 0);
        for one in wanted {
            let mut table: Option<Value> = None;
            for path in self.paths(one) {
                let path = self.with_object(path);
                match self.cluster.kube.get_as(&path, TABLE).await {
                    Ok(answer) => join(&mut table, answer),
                    Err(e) => {
                        if let Err(failure) = self.ignored(one, &e) {
                            failure.tell(self.call.voice);
                            code = 1;
                        }
                    }
                }
            }
            let Some(mut table) =
                table.filter(|t| t["rows"].as_array().is_some_and(|r| !r.is_empty()))
            else {
                continue;
            };
            if let Some(rows) = table["rows"].as_array_mut() {
                self.sort(rows, |row| &row["object"])?;
            }
            if printed > 0 {
                out::line("");
            }
            printed += 1;
            let mut sheet =
                Sheet::new(self, &one.kind, &table, several || self.call.has("show-kind"));
            out::write(sheet.text(&table, !self.call.has("no-headers")).as_bytes());
        }
        if printed == 0 && code == 0 && !self.call.has("ignore-not-found") {
            self.say_nothing(wanted);
        }
        Ok(code)
    }

    /// Sorting looks into whole objects.
    fn with_object(&self, path: String) -> String {
        if self.call.get("sort-by").is_some() {
            format!("{path}includeObject=Object&")
        } else {
            path
        }
    }

    fn say_nothing(&self, wanted: &[Wanted]) {
        let namespaced = wanted.iter().any(|one| one.kind.namespaced);
        if namespaced && !self.call.has("all-namespaces") {
            let namespace = &self.cluster.namespace;
            out::write_err(format!("No resources found in {namespace} namespace.\n").as_bytes());
        } else {
            out::write_err(b"No resources found\n");
        }
    }

    /// Prints what is there, then every change, until the program is stopped.
    async fn watch(&self, wanted: &[Wanted]) -> Result<u8, Failure> {
        let [one] = wanted else {
            return Err(Failure::plain("error: you may only specify a single resource type"));
        };
        if one.names.len() > 1 {
            return Err(Failure::plain(
                "error: watch is only supported on individual resources and resource collections",
            ));
        }
        let plain = self.output.is_plain();
        let accept = if plain { TABLE } else { "application/json" };
        let mut path =
            format!("{}?{}", one.kind.path(self.namespace(one), None), select::query(self.call));
        if let Some(name) = one.names.first() {
            path.push_str(&format!("fieldSelector={}&", escape(&format!("metadata.name={name}"))));
        }
        let failed = |e: Error| Failure::kube(format!("watch {}", one.kind.qualified()), &e);
        let list = self.cluster.kube.get_as(&path, accept).await.map_err(failed)?;
        let mut sheet = Sheet::new(self, &one.kind, &list, self.call.has("show-kind"));
        if !self.call.has("watch-only") {
            match plain {
                true if list["rows"].as_array().is_some_and(|rows| !rows.is_empty()) => {
                    sheet.said = true;
                    out::write(sheet.text(&list, !self.call.has("no-headers")).as_bytes());
                }
                true => {}
                false => {
                    for item in listed(one, list.clone()) {
                        self.output.object(self.call, self.kinds, &item, "")?;
                    }
                }
            }
        }
        let mut version = text(&list, "/metadata/resourceVersion").to_owned();
        loop {
            let at = format!("{path}watch=true&allowWatchBookmarks=true&resourceVersion={version}");
            let mut watch = self.cluster.kube.watch(&at, accept).await.map_err(failed)?;
            while let Some(event) = watch.next().await.map_err(failed)? {
                let object = if plain { &event.object["rows"][0]["object"] } else { &event.object };
                let seen = text(object, "/metadata/resourceVersion");
                if !seen.is_empty() {
                    seen.clone_into(&mut version);
                }
                if event.kind == "BOOKMARK" {
                    continue;
                }
                match plain {
                    true => self.changed(&mut sheet, &event.object),
                    false => self.output.object(self.call, self.kinds, &event.object, "")?,
                }
            }
        }
    }

    fn changed(&self, sheet: &mut Sheet, table: &Value) {
        let headings = !sheet.said && !self.call.has("no-headers");
        sheet.said = true;
        out::write(sheet.text(table, headings).as_bytes());
    }
}

/// The items of a list, each with the kind it has.
fn listed(one: &Wanted, mut list: Value) -> Vec<Value> {
    let Some(Value::Array(mut items)) = list.get_mut("items").map(Value::take) else {
        return Vec::new();
    };
    for item in &mut items {
        item["apiVersion"] = one.kind.api_version().into();
        item["kind"] = one.kind.kind.as_str().into();
    }
    items
}

fn join(table: &mut Option<Value>, mut answer: Value) {
    match table {
        None => *table = Some(answer),
        Some(table) => {
            if let (Some(rows), Some(Value::Array(more))) =
                (table["rows"].as_array_mut(), answer.get_mut("rows").map(Value::take))
            {
                rows.extend(more);
            }
        }
    }
}

/// Which columns are shown, and how wide they are.
struct Sheet {
    /// Index into the cells, and the heading.
    columns: Vec<(usize, String)>,
    labels: Vec<String>,
    show_labels: bool,
    with_namespace: bool,
    /// `pod/` before names.
    prefix: String,
    /// Of the rows before, so that later ones stand below them.
    widths: Vec<usize>,
    /// Headings have been printed.
    said: bool,
}

/// As kubectl sets its columns (`k8s.io/cli-runtime/pkg/printers/tabwriter.go`).
const GAP: usize = 3;
const LEAST: usize = 6;

impl Sheet {
    fn new(asked: &Asked<'_>, kind: &Kind, table: &Value, with_kind: bool) -> Self {
        let wide = matches!(asked.output, Output::Plain { wide: true });
        let definitions = table["columnDefinitions"].as_array().into_iter().flatten().enumerate();
        let shown = definitions.filter(|(_, d)| wide || d["priority"].as_i64().unwrap_or(0) == 0);
        let columns = shown.map(|(at, d)| (at, text(d, "/name").to_uppercase())).collect();
        Self {
            columns,
            labels: asked.call.list("label-columns"),
            show_labels: asked.call.has("show-labels"),
            with_namespace: asked.call.has("all-namespaces") && kind.namespaced,
            prefix: if with_kind { format!("{}/", kind.word()) } else { String::new() },
            widths: Vec::new(),
            said: false,
        }
    }

    fn headings(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.with_namespace {
            out.push("NAMESPACE".to_owned());
        }
        out.extend(self.columns.iter().map(|(_, heading)| heading.clone()));
        let last = |label: &String| label.rsplit('/').next().unwrap_or_default().to_uppercase();
        out.extend(self.labels.iter().map(last));
        if self.show_labels {
            out.push("LABELS".to_owned());
        }
        out
    }

    fn row(&self, row: &Value) -> Vec<String> {
        let mut out = Vec::new();
        let metadata = &row["object"]["metadata"];
        if self.with_namespace {
            out.push(text(metadata, "/namespace").to_owned());
        }
        for (at, heading) in &self.columns {
            let cell = match &row["cells"][*at] {
                Value::String(text) => text.clone(),
                Value::Null => "<none>".into(),
                other => other.to_string(),
            };
            // Only the first line of a cell is shown.
            let mut cell = cell.lines().next().unwrap_or_default().to_owned();
            if heading == "NAME" {
                cell.insert_str(0, &self.prefix);
            }
            out.push(cell);
        }
        let labels = &metadata["labels"];
        let label = |name: &String| labels[name.as_str()].as_str().unwrap_or("<none>").to_owned();
        out.extend(self.labels.iter().map(label));
        if self.show_labels {
            let pairs = labels.as_object().into_iter().flatten();
            let pairs: Vec<String> =
                pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
            out.push(if pairs.is_empty() { "<none>".into() } else { pairs.join(",") });
        }
        out
    }

    /// Rows as text. Widths only grow, so that later rows stand below earlier ones.
    fn text(&mut self, table: &Value, headings: bool) -> String {
        let mut all: Vec<Vec<String>> = Vec::new();
        if headings {
            all.push(self.headings());
        }
        all.extend(table["rows"].as_array().into_iter().flatten().map(|row| self.row(row)));
        for row in &all {
            self.widths.resize(row.len().max(self.widths.len()), 0);
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max((cell.chars().count() + GAP).max(LEAST));
            }
        }
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&self.widths).map(|(cell, width)| format!("{cell:width$}"));
            format!("{}\n", cells.collect::<String>().trim_end())
        };
        all.iter().map(line).collect()
    }
}
