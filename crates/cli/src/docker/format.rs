//! `--format`, `--quiet` and the default tables (docker cli `cli/command/formatter`).

use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use crate::template::Template;
use meta::{Map, Value};

/// A kind of list: its fields with their headings.
pub struct Sheet {
    /// Field as templates name it, and its heading.
    pub fields: &'static [(&'static str, &'static str)],
    /// What the table shows.
    pub columns: &'static [&'static str],
    /// What `--quiet` prints.
    pub quiet: &'static str,
}

impl Sheet {
    /// Prints rows as the call wants them.
    ///
    /// # Errors
    /// When the format is no template or does not fit.
    pub fn print(&self, call: &Call, columns: &[&str], rows: &[Value]) -> Result<(), Failure> {
        let quiet = call.has("quiet");
        match call.get("format") {
            _ if quiet => rows.iter().for_each(|row| out::line(text(&row[self.quiet]))),
            None | Some("table") => self.table(columns, rows),
            Some("json") => rows.iter().for_each(|row| out::line(row.to_string())),
            Some(format) => self.templated(format, rows)?,
        }
        Ok(())
    }

    fn heading(&self, field: &str) -> String {
        let known = self.fields.iter().find(|(name, _)| *name == field);
        known.map_or(field, |(_, heading)| heading).to_owned()
    }

    fn table(&self, columns: &[&str], rows: &[Value]) {
        let mut lines = vec![columns.iter().map(|field| self.heading(field)).collect()];
        for row in rows {
            lines.push(columns.iter().map(|field| text(&row[*field])).collect::<Vec<_>>());
        }
        out::write(out::docker_table(&lines).as_bytes());
    }

    fn templated(&self, format: &str, rows: &[Value]) -> Result<(), Failure> {
        let format = format.replace("\\t", "\t").replace("\\n", "\n");
        let (is_table, format) = match format.strip_prefix("table ") {
            Some(rest) => (true, rest.trim_start()),
            None => (false, format.as_str()),
        };
        let bad = |why: String| Failure::new("print in this format", &why);
        let template = Template::parse(format).map_err(bad)?;
        let mut lines: Vec<Vec<String>> = Vec::new();
        if is_table {
            let headings: Map =
                self.fields.iter().map(|(f, h)| ((*f).into(), (*h).into())).collect();
            let heading = template.render(&Value::Object(headings)).map_err(bad)?;
            lines.push(heading.split('\t').map(str::to_owned).collect());
        }
        for row in rows {
            let line = template.render(row).map_err(bad)?;
            match is_table {
                true => lines.push(line.split('\t').map(str::to_owned).collect()),
                false => out::line(line),
            }
        }
        out::write(out::docker_table(&lines).as_bytes());
        Ok(())
    }
}

/// A field as a table shows it.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Prints one object as `--format` wants it; `otherwise` without one.
///
/// # Errors
/// When the format is no template or does not fit.
pub fn one(
    call: &Call,
    value: &Value,
    otherwise: impl FnOnce(&Value) -> String,
) -> Result<(), Failure> {
    let bad = |why: String| Failure::new("print in this format", &why);
    match call.get("format") {
        None => out::write(otherwise(value).as_bytes()),
        Some("json") => out::line(value.to_string()),
        Some(format) => {
            let format = format.replace("\\t", "\t").replace("\\n", "\n");
            out::line(Template::parse(&format).and_then(|t| t.render(value)).map_err(bad)?);
        }
    }
    Ok(())
}

/// `filter` options as the API takes them: `{"status":["exited"]}`, percent-encoded.
///
/// # Errors
/// When one has no `=`.
pub fn filters(call: &Call, more: &[(&str, &str)]) -> Result<String, Failure> {
    let mut out = Map::new();
    let mut add = |key: &str, value: &str| {
        let list = out.entry(key.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.push(value.into());
        }
    };
    for (key, value) in more {
        add(key, value);
    }
    for filter in call.all("filter") {
        let Some((key, value)) = filter.split_once('=') else {
            return Err(call.bad_value(
                "filter",
                filter,
                "bad format of filter (expected name=value)",
            ));
        };
        add(key.trim(), value.trim());
    }
    Ok(remote::escape(&Value::Object(out).to_string()))
}

/// `sha256:0123456789abcdef...` as `0123456789ab`.
pub fn short(id: &str) -> String {
    id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect()
}

/// At most `len` characters, the last an ellipsis when something is missing.
pub fn ellipsis(text: &str, len: usize) -> String {
    if text.chars().count() <= len {
        return text.to_owned();
    }
    text.chars().take(len - 1).chain(['…']).collect()
}
