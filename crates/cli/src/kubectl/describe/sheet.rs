//! Lines whose tabs are elastic, as Go's `text/tabwriter` sets them.

use crate::kubectl::text;
use meta::Value;

const GAP: usize = 2;

#[derive(Default)]
pub struct Sheet(String);

impl Sheet {
    /// A line, or several.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    /// `Key:  value`
    pub fn row(&mut self, key: &str, value: impl AsRef<str>) {
        self.line(format!("{key}:\t{}", value.as_ref()));
    }

    /// As [`Sheet::row`], when there is a value.
    pub fn some(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.row(key, value);
        }
    }

    /// Labels and the like: the first behind the key, the others below it.
    pub fn map(&mut self, key: &str, value: &Value, between: &str) {
        let pairs = value.as_object().into_iter().flatten();
        let lines: Vec<String> = pairs
            .filter(|(name, _)| *name != "kubectl.kubernetes.io/last-applied-configuration")
            .map(|(name, value)| format!("{name}{between}{}", value.as_str().unwrap_or_default()))
            .collect();
        match lines.split_first() {
            None => self.row(key, "<none>"),
            Some((first, rest)) => {
                self.row(key, first);
                for line in rest {
                    let indent: String = key.chars().take_while(|c| *c == ' ').collect();
                    self.line(format!("{indent}\t{line}"));
                }
            }
        }
    }

    /// The rows every page begins with.
    pub fn head(&mut self, object: &Value) {
        self.row("Name", text(object, "/metadata/name"));
        self.some("Namespace", text(object, "/metadata/namespace"));
    }

    /// `status.conditions` as type and status.
    pub fn conditions(&mut self, object: &Value) {
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
        let Some(conditions) = conditions.filter(|list| !list.is_empty()) else { return };
        self.line("Conditions:\n  Type\tStatus\tReason\n  ----\t------\t------");
        for one in conditions {
            let (kind, status) = (text(one, "/type"), text(one, "/status"));
            self.line(format!("  {kind} \t{status}\t{}", text(one, "/reason")));
        }
    }

    pub fn text(&self) -> String {
        let lines: Vec<Vec<&str>> = self.0.lines().map(|line| line.split('\t').collect()).collect();
        let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len()]).collect();
        let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
        for column in 0..columns {
            let mut at = 0;
            while at < lines.len() {
                // Neighbours whose cell ends with a tab share a width.
                let ends = |at: usize| lines.get(at).is_some_and(|cells| cells.len() > column + 1);
                let from = at;
                while ends(at) {
                    at += 1;
                }
                let cells = lines[from..at].iter().map(|cells| cells[column].chars().count());
                let width = cells.max().unwrap_or_default() + GAP;
                widths[from..at].iter_mut().for_each(|row| row[column] = width);
                at += 1;
            }
        }
        let mut out = String::new();
        for (cells, widths) in lines.iter().zip(&widths) {
            for (cell, width) in cells.iter().zip(widths) {
                out.push_str(&format!("{cell:width$}"));
            }
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_align() {
        let mut sheet = Sheet::default();
        sheet.line("Name:\ta\nNamespace:\tb\nNo tab here\nX:\ty");
        assert_eq!(sheet.text(), "Name:       a\nNamespace:  b\nNo tab here\nX:  y\n");
    }
}
