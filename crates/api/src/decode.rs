//! From request bodies to values: JSON, YAML and protobuf, with upstream's strictness and texts.

use crate::catalog::Served;
use crate::write::{Ctx, Validation};
use meta::{Gvk, Problem, Reason, Value};
use schema::Type;

/// A decoded body and what a lenient decoder wants to say about it.
#[derive(Debug)]
pub struct Decoded {
    pub value: Value,
    pub warnings: Vec<String>,
}

/// The format of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
    Protobuf,
}

/// Of a write with an object in its body; no content type means JSON.
///
/// # Errors
/// 415.
pub fn format(content_type: &str) -> Result<Format, Problem> {
    match content_type.split(';').next().unwrap_or_default().trim() {
        "" | "application/json" => Ok(Format::Json),
        "application/yaml" | "application/x-yaml" => Ok(Format::Yaml),
        "application/vnd.kubernetes.protobuf" => Ok(Format::Protobuf),
        _ => Err(Problem::new(
            Reason::UnsupportedMediaType,
            "the body of the request was in an unknown format - accepted media types include: \
             application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
}

/// Decodes a body that should be of `gvk`.
///
/// # Errors
/// 400 with upstream's text, 415 when a custom resource comes as protobuf.
pub fn body(
    bytes: &[u8],
    format: Format,
    gvk: &Gvk,
    ty: Option<&Type>,
    validation: Validation,
) -> Result<Decoded, Problem> {
    let (value, findings) = match format {
        Format::Protobuf => (protobuf(bytes, ty)?, Vec::new()),
        Format::Json => text(bytes, gvk, ty, schema::decode_json)?,
        Format::Yaml => text(bytes, gvk, ty, schema::decode_yaml)?,
    };
    if ty.is_none_or(|ty| !matches!(ty.shape, schema::Shape::Message(_))) {
        custom_kind(&value, gvk)?;
    }
    let value = typed(value, gvk)?;
    let warnings = strict(findings, gvk, validation)?;
    Ok(Decoded { value, warnings })
}

type Decoder = fn(&[u8], &Type) -> Result<schema::Decoded, schema::DecodeError>;

fn text(
    bytes: &[u8],
    gvk: &Gvk,
    ty: Option<&Type>,
    decode: Decoder,
) -> Result<(Value, Vec<String>), Problem> {
    let Some(ty) = ty else {
        let value = serde_json::from_slice(bytes).map_err(|e| {
            Problem::bad_request(format!("couldn't get version/kind; json parse error: {e}"))
        })?;
        return Ok((value, Vec::new()));
    };
    let decoded = decode(bytes, ty).map_err(|e| {
        let kind = format!("{} in version {:?}", gvk.kind, gvk.api_version());
        Problem::bad_request(format!("{} cannot be handled as a {}: {}", kind, gvk.kind, e.message))
    })?;
    let findings = decoded.findings.iter().map(|f| f.to_string()).collect();
    Ok((decoded.value, findings))
}

fn protobuf(bytes: &[u8], ty: Option<&Type>) -> Result<Value, Problem> {
    let bad = |e: schema::ProtoError| Problem::bad_request(e.message);
    let envelope = schema::open(bytes).map_err(bad)?;
    let Some(ty) = ty else {
        return Err(Problem::new(
            Reason::UnsupportedMediaType,
            "protobuf is not supported for this kind",
        ));
    };
    let mut value = schema::decode_proto(envelope.raw, ty).map_err(bad)?;
    if !value.is_object() {
        value = Value::Object(meta::Map::new());
    }
    value["apiVersion"] = envelope.api_version.into();
    value["kind"] = envelope.kind.into();
    Ok(value)
}

/// Any kind of the right version decodes as a custom resource; its validation then refuses it
/// (apiextensions' `pkg/registry/customresource/validator.go`).
fn custom_kind(value: &Value, gvk: &Gvk) -> Result<(), Problem> {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if kind.is_empty() || *kind == *gvk.kind || version != gvk.api_version() {
        return Ok(());
    }
    let fault = meta::Fault::invalid("kind", kind, format!("must be {}", gvk.kind));
    let name = crate::object::meta_text(value, "name");
    Err(Problem::invalid(&gvk.group, &gvk.kind, name, &[fault]))
}

/// The body must be of the kind the path is about; what it leaves out is filled in.
fn typed(mut value: Value, gvk: &Gvk) -> Result<Value, Problem> {
    let Some(object) = value.as_object_mut() else {
        return Err(Problem::bad_request("the body of the request is not an object"));
    };
    let text = |object: &meta::Map, key: &str| {
        object.get(key).and_then(Value::as_str).unwrap_or_default().to_string()
    };
    let (version, kind) = (text(object, "apiVersion"), text(object, "kind"));
    let expected = gvk.api_version();
    if (!kind.is_empty() && *kind != *gvk.kind) || (!version.is_empty() && version != expected) {
        let given = Gvk::parse(&version, &kind);
        if version != expected && *kind == *gvk.kind {
            return Err(Problem::bad_request(format!(
                "the API version in the data ({version}) does not match the expected API version ({expected})"
            )));
        }
        return Err(Problem::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: no kind {:?} is registered for the expected resource",
            given.kind, version, gvk.kind, kind
        )));
    }
    object.insert("apiVersion".into(), expected.into());
    object.insert("kind".into(), (*gvk.kind).into());
    Ok(value)
}

/// What unknown and duplicate fields mean under `fieldValidation`.
pub fn strict(
    findings: Vec<String>,
    gvk: &Gvk,
    validation: Validation,
) -> Result<Vec<String>, Problem> {
    match validation {
        _ if findings.is_empty() => Ok(Vec::new()),
        Validation::Ignore => Ok(Vec::new()),
        Validation::Warn => Ok(findings),
        Validation::Strict => Err(Problem::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
            gvk.kind,
            &*gvk.version,
            gvk.kind,
            findings.join(", ")
        ))),
    }
}

/// After a patch: drops unknown fields, and refuses or reports them.
///
/// # Errors
/// 400 under `Strict`.
pub fn known_only(ctx: &Ctx<'_>, value: &mut Value) -> Result<Option<Vec<String>>, Problem> {
    let Some(ty) = &ctx.served.ty else { return Ok(None) };
    let unknown = schema::prune(value, ty);
    let findings: Vec<_> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
    match ctx.options.validation {
        _ if findings.is_empty() => Ok(None),
        Validation::Ignore => Ok(None),
        Validation::Warn => Ok(Some(findings)),
        Validation::Strict => {
            Err(Problem::bad_request(format!("strict decoding error: {}", findings.join(", "))))
        }
    }
}

/// Of custom resources: pruning happens on every write.
pub fn prune(served: &Served, value: &mut Value) {
    if let (true, Some(ty)) = (served.custom, &served.ty) {
        schema::prune(value, ty);
    }
}

/// A patch's body, which may be YAML for apply.
///
/// # Errors
/// 400 when it is neither.
pub fn loose(bytes: &[u8], yaml: Format) -> Result<Value, Problem> {
    if yaml == Format::Json {
        return serde_json::from_slice(bytes)
            .map_err(|e| Problem::bad_request(format!("error decoding patch: {e}")));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Problem::bad_request("error decoding YAML: invalid UTF-8"))?;
    serde_saphyr::from_str(text)
        .map_err(|e| Problem::bad_request(format!("error decoding YAML: {e}")))
}
