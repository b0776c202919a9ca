//! Joins the three sources into the table. Everything that does not fit together is an error: a new
//! version of a dependency must not lose facts silently.

use super::go::{Declared, GoField, GoStruct};
use super::openapi::Definition;
use super::pb::{Message, Package, PbField, Wire, marker, marker_values};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Messages with a JSON form of their own, by type code of the table.
const SPECIAL: &[(&str, &str, &str)] = &[
    ("apimachinery/pkg/apis/meta/v1", "Time", "T"),
    ("apimachinery/pkg/apis/meta/v1", "MicroTime", "M"),
    ("apimachinery/pkg/apis/meta/v1", "Duration", "D"),
    ("apimachinery/pkg/apis/meta/v1", "FieldsV1", "F"),
    ("apimachinery/pkg/apis/meta/v1", "Verbs", "<s"),
    ("apimachinery/pkg/api/resource", "Quantity", "Q"),
    ("apimachinery/pkg/util/intstr", "IntOrString", "O"),
    ("apimachinery/pkg/runtime", "RawExtension", "R"),
    ("apiextensions_apiserver/pkg/apis/apiextensions/v1", "Json", "R"),
    ("apiextensions_apiserver/pkg/apis/apiextensions/v1", "JsonSchemaPropsOrArray", "1"),
    ("apiextensions_apiserver/pkg/apis/apiextensions/v1", "JsonSchemaPropsOrBool", "2"),
    ("apiextensions_apiserver/pkg/apis/apiextensions/v1", "JsonSchemaPropsOrStringArray", "3"),
    ("api/authentication/v1", "ExtraValue", "<s"),
    ("api/authorization/v1", "ExtraValue", "<s"),
    ("api/certificates/v1", "ExtraValue", "<s"),
    ("api/certificates/v1beta1", "ExtraValue", "<s"),
];

/// Messages that are no part of any API, or the envelope itself.
const UNUSED: &[&str] = &["Unknown", "QuantityValue", "Timestamp", "APIVersions", "RootPaths"];

/// API groups of packages that hold no stored resource.
const GROUPS: &[(&str, &str)] = &[
    ("api/admission/v1", "admission.k8s.io"),
    ("api/apidiscovery/v2", "apidiscovery.k8s.io"),
    ("api/apidiscovery/v2beta1", "apidiscovery.k8s.io"),
    ("apimachinery/pkg/apis/meta/v1", "meta.k8s.io"),
    ("apimachinery/pkg/apis/meta/v1beta1", "meta.k8s.io"),
    ("metrics/pkg/apis/metrics/v1beta1", "metrics.k8s.io"),
    ("metrics/pkg/apis/custom_metrics/v1beta1", "custom.metrics.k8s.io"),
    ("metrics/pkg/apis/custom_metrics/v1beta2", "custom.metrics.k8s.io"),
    ("metrics/pkg/apis/external_metrics/v1beta1", "external.metrics.k8s.io"),
];

struct Joiner<'a> {
    definitions: &'a BTreeMap<String, Definition>,
    declared: &'a Declared,
    /// Index of each package in the table.
    numbers: BTreeMap<&'a str, usize>,
}

pub fn join(
    packages: &BTreeMap<String, Package>,
    definitions: &BTreeMap<String, Definition>,
    declared: &Declared,
) -> Result<String, String> {
    let wanted: Vec<(&String, &Package)> = packages
        .iter()
        .filter(|(name, _)| declared.structs.keys().any(|k| k.0 == **name))
        .collect();
    let numbers = wanted.iter().enumerate().map(|(i, (name, _))| (name.as_str(), i)).collect();
    let joiner = Joiner { definitions, declared, numbers };
    let mut out =
        String::from("# Written by `cargo xtask codegen`; crates/schema/src/facts.rs reads it.\n");
    for (name, package) in wanted {
        joiner.package(&mut out, name, package)?;
    }
    Ok(out)
}

/// `api/apps/v1` is `io.k8s.api.apps.v1`.
fn definition_prefix(package: &str) -> String {
    format!("io.k8s.{}", package.replace('/', ".").replace("_apiserver", "-apiserver"))
        .replace("kube_aggregator", "kube-aggregator")
}

/// `ref(AzureSharedBlobDisk)` names a constant; its text is the enum value its name contains.
fn literal(default: &str, line: &str) -> String {
    let Some(constant) = default.strip_prefix("ref(") else { return default.to_string() };
    let values = line.rsplit_once(" v=").map_or("", |(_, values)| values).split('|');
    let value = values.filter(|v| constant.contains(v)).max_by_key(|v| v.len());
    format!("{:?}", value.unwrap_or_default())
}

impl Joiner<'_> {
    fn package(&self, out: &mut String, name: &str, package: &Package) -> Result<(), String> {
        let fixed = GROUPS.iter().find(|(p, _)| *p == name).map(|(_, group)| *group);
        let group = fixed.unwrap_or(&package.group);
        let version = name.rsplit('/').next().unwrap_or_default();
        let _ = writeln!(out, "P {} {group} {version}", definition_prefix(name));
        let special = |m: &str| SPECIAL.iter().any(|(p, n, _)| *p == name && *n == m);
        let mut messages: Vec<(&GoStruct, &Message)> = Vec::new();
        for message in &package.messages {
            if special(&message.name)
                || UNUSED.iter().any(|u| u.eq_ignore_ascii_case(&message.name))
            {
                continue;
            }
            messages.push((self.go(name, &message.name)?, message));
        }
        messages.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        for (go, message) in messages {
            self.message(out, name, go, message)?;
        }
        Ok(())
    }

    fn go(&self, package: &str, message: &str) -> Result<&GoStruct, String> {
        let key = (package.to_string(), message.to_lowercase());
        self.declared.structs.get(&key).ok_or_else(|| format!("go.txt lacks {package} {message}"))
    }

    fn message(
        &self,
        out: &mut String,
        package: &str,
        go: &GoStruct,
        message: &Message,
    ) -> Result<(), String> {
        let definition =
            self.definitions.get(&format!("{}.{}", definition_prefix(package), go.name));
        let mut flags = String::new();
        if go.kind {
            flags.push('k');
        }
        if marker(&message.markers, "+structType") == Some("atomic") {
            flags.push('a');
        }
        let _ = writeln!(out, "M {} {flags}", go.name);
        for field in &message.fields {
            let line = self
                .field(package, go, definition, field)
                .map_err(|why| format!("{package} {} {}: {why}", go.name, field.name))?;
            let _ = writeln!(out, "{line}");
        }
        if let Some(definition) = definition {
            self.complete(package, go, message, definition)?;
        }
        Ok(())
    }

    /// Every property the OpenAPI definition has must have been found.
    fn complete(
        &self,
        package: &str,
        go: &GoStruct,
        message: &Message,
        definition: &Definition,
    ) -> Result<(), String> {
        let mut known: Vec<&str> = go.fields.iter().map(|f| f.json.as_str()).collect();
        for field in message.fields.iter().filter(|f| go.embedded.contains(&f.number)) {
            let (inner, name) = field.wire.message.as_ref().ok_or("embedded scalar")?;
            let inner = self.go(inner, name)?;
            known.extend(inner.fields.iter().map(|f| f.json.as_str()));
            if !inner.embedded.is_empty() {
                return Ok(()); // twice embedded: checked by the inner message itself
            }
        }
        if go.kind {
            known.extend(["apiVersion", "kind"]);
        }
        let missing = definition.properties.iter().find(|name| !known.contains(&name.as_str()));
        missing.map_or(Ok(()), |property| Err(format!("{package} {} lacks {property}", go.name)))
    }

    fn field(
        &self,
        package: &str,
        go: &GoStruct,
        definition: Option<&Definition>,
        field: &PbField,
    ) -> Result<String, String> {
        if go.embedded.contains(&field.number) {
            return Ok(format!("+ {} {}", field.number, self.type_code(package, &field.wire)?));
        }
        let plain = |name: &str| name.replace(['_', '-', '$'], "").to_lowercase();
        let wanted = plain(&field.name);
        let declared = go.fields.iter().find(|f| plain(&f.json) == wanted);
        let declared = declared.ok_or("not declared in go.txt")?;
        let code = self.type_code(package, &field.wire)?;
        let mut line = format!("{} {} {code} {}", declared.json, field.number, declared.presence);
        let required = match definition {
            // k8s-openapi demands `metadata` of every kind; upstream's document does not.
            Some(_) if go.kind && declared.json == "metadata" => false,
            Some(definition) => definition.required.contains(&declared.json),
            None => {
                ["w", "n"].contains(&declared.presence.as_str())
                    && !field.markers.iter().any(|m| m == "+optional")
            }
        };
        if required {
            line.push_str(" r");
        }
        self.merging(&mut line, field)?;
        self.values(&mut line, package, declared);
        if let Some(default) = marker(&field.markers, "+default") {
            let _ = write!(line, " d={}", literal(default, &line));
        }
        Ok(line)
    }

    fn merging(&self, line: &mut String, field: &PbField) -> Result<(), String> {
        let markers = &field.markers;
        let list_type = marker(markers, "+listType").or_else(|| marker(markers, "+k8s:listType"));
        match list_type {
            Some("set") => line.push_str(" ls"),
            Some("map") => {
                let mut keys = marker_values(markers, "+listMapKey");
                if keys.is_empty() {
                    keys = marker_values(markers, "+k8s:listMapKey");
                }
                let _ = write!(line, " lm={}", keys.join(","));
            }
            Some("atomic") | None => {}
            Some(other) => return Err(format!("unknown list type {other}")),
        }
        let atomic = |name| marker(markers, name) == Some("atomic");
        if atomic("+structType") || atomic("+mapType") {
            line.push_str(" a");
        }
        for strategy in marker_values(markers, "+patchStrategy") {
            line.push_str(match strategy {
                "merge" => " pm",
                "retainKeys" => " pr",
                "replace" => "",
                other => return Err(format!("unknown patch strategy {other}")),
            });
        }
        if let Some(key) = marker(markers, "+patchMergeKey") {
            let _ = write!(line, " pk={key}");
        }
        Ok(())
    }

    fn values(&self, line: &mut String, package: &str, declared: &GoField) {
        if !declared.go_type.is_empty() {
            let _ = write!(line, " g={}", declared.go_type);
        }
        let bare = declared.go_type.rsplit(['.', ']']).next().unwrap_or_default();
        let name = if declared.enum_name.is_empty() { bare } else { &declared.enum_name };
        let enums = &self.declared.enums;
        let own = enums.get(&(package.to_string(), name.to_string()));
        let core = || enums.get(&("api/core/v1".to_string(), name.to_string()));
        if let Some(values) = own.or_else(core)
            && !name.is_empty()
        {
            let _ = write!(line, " v={values}");
        }
    }

    fn type_code(&self, package: &str, wire: &Wire) -> Result<String, String> {
        let base = match (wire.scalar.as_str(), &wire.message) {
            ("string", _) => "s".to_string(),
            ("bool", _) => "b".into(),
            ("int32", _) => "i".into(),
            ("int64", _) => "l".into(),
            ("double", _) => "d".into(),
            ("bytes", _) => "y".into(),
            (_, Some((inner, name))) => self.message_code(package, inner, name)?,
            (other, None) => return Err(format!("unknown wire type {other}")),
        };
        Ok(match (wire.map, wire.repeated) {
            (true, _) => format!("{{{base}"),
            (_, true) => format!("[{base}"),
            _ => base,
        })
    }

    fn message_code(&self, package: &str, inner: &str, name: &str) -> Result<String, String> {
        if let Some((_, _, code)) = SPECIAL.iter().find(|(p, n, _)| *p == inner && *n == name) {
            return Ok((*code).to_string());
        }
        let go = self.go(inner, name)?;
        if inner == package {
            return Ok(format!("@{}", go.name));
        }
        let number = self.numbers.get(inner).ok_or_else(|| format!("no package {inner}"))?;
        Ok(format!("@{number}.{}", go.name))
    }
}
