//! Progress as `--progress=plain` shows it: every line says which step it belongs to, as it
//! happens; whole lines only, never clipped.

use std::collections::BTreeMap;

use dockerfile::NodeId;

use crate::execute::{Event, Source};

/// Turns events into lines.
#[derive(Debug, Clone, Default)]
pub struct Plain {
    steps: Vec<(String, Option<NodeId>)>,
    /// Output without its line end yet.
    partial: BTreeMap<NodeId, String>,
}

impl Plain {
    pub fn feed(&mut self, event: &Event) -> Vec<String> {
        match event {
            Event::Steps(steps) => {
                self.steps.clone_from(steps);
                Vec::new()
            }
            Event::Started(node) => self.named(*node, |text| text.to_owned()),
            Event::Log(Some(node), bytes) => self.output(*node, &String::from_utf8_lossy(bytes)),
            Event::Log(None, bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
            Event::Done(node, _, source) => {
                let mut out = match self.partial.remove(node) {
                    Some(rest) if !rest.is_empty() => self.named(*node, |_| rest.clone()),
                    _ => Vec::new(),
                };
                let word = if *source == Source::Cache { "CACHED" } else { "DONE" };
                out.extend(self.named(*node, |_| word.to_owned()));
                out
            }
            Event::Warning(text) => vec![format!("WARNING: {text}\n")],
            Event::Image(id) => vec![format!("writing image {id}\n")],
            Event::Tagged(name) => vec![format!("naming to {name}\n")],
            Event::Container(..) => Vec::new(),
        }
    }

    /// `#n text`; n is the place of the step in the file's order.
    fn named(&self, node: NodeId, text: impl Fn(&str) -> String) -> Vec<String> {
        let at = self.steps.iter().position(|(_, n)| *n == Some(node));
        // A base image that only `--from` names has no step.
        let Some(at) = at else { return Vec::new() };
        vec![format!("#{} {}\n", at + 1, text(&self.steps[at].0))]
    }

    fn output(&mut self, node: NodeId, text: &str) -> Vec<String> {
        let mut whole = self.partial.remove(&node).unwrap_or_default();
        whole.push_str(text);
        let (lines, rest) = match whole.rfind('\n') {
            Some(at) => whole.split_at(at + 1),
            None => ("", whole.as_str()),
        };
        let out = lines.lines().flat_map(|l| self.named(node, |_| l.to_owned())).collect();
        self.partial.insert(node, rest.to_owned());
        out
    }
}
