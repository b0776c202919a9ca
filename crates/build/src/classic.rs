//! Progress as the classic builder's lines: steps in order even when they ran together.

use std::collections::BTreeMap;

use dockerfile::NodeId;

use crate::execute::{Event, Source};

/// Turns events into text. Output of a step whose turn has not come waits.
#[derive(Debug, Default)]
pub struct Classic {
    steps: Vec<(String, Option<NodeId>)>,
    /// The step at hand and whether its headline is out.
    at: usize,
    announced: bool,
    waiting: BTreeMap<NodeId, Vec<String>>,
    finished: BTreeMap<NodeId, String>,
    last_id: String,
}

impl Classic {
    /// The lines an event brings out; each ends with a line end unless a program's output did not.
    pub fn feed(&mut self, event: &Event) -> Vec<String> {
        let mut out = Vec::new();
        match event {
            Event::Steps(steps) => {
                self.steps.clone_from(steps);
                self.advance(&mut out);
            }
            Event::Container(node, id) => {
                let short = id.get(..12).unwrap_or(id);
                self.line(*node, format!(" ---> Running in {short}\n"), &mut out);
            }
            Event::Log(Some(node), bytes) => {
                self.line(*node, String::from_utf8_lossy(bytes).into_owned(), &mut out);
            }
            Event::Log(None, bytes) => out.push(String::from_utf8_lossy(bytes).into_owned()),
            Event::Done(node, id, source) => {
                if *source == Source::Cache {
                    self.line(*node, " ---> Using cache\n".to_owned(), &mut out);
                }
                self.finished.insert(*node, id.clone());
                self.advance(&mut out);
            }
            Event::Warning(text) => out.push(format!("[Warning] {text}\n")),
            Event::Image(id) => out.push(format!("Successfully built {}\n", id.short())),
            Event::Tagged(name) => out.push(format!("Successfully tagged {name}\n")),
            Event::Started(_) => {}
        }
        out
    }

    fn line(&mut self, node: NodeId, text: String, out: &mut Vec<String>) {
        let turn = self.announced && self.steps.get(self.at).is_some_and(|s| s.1 == Some(node));
        if turn {
            out.push(text);
        } else {
            self.waiting.entry(node).or_default().push(text);
        }
    }

    fn advance(&mut self, out: &mut Vec<String>) {
        while let Some((text, node)) = self.steps.get(self.at) {
            if !self.announced {
                out.push(format!("Step {}/{} : {text}\n", self.at + 1, self.steps.len()));
                self.announced = true;
            }
            if let Some(node) = node {
                out.extend(self.waiting.remove(node).unwrap_or_default());
                let Some(id) = self.finished.get(node) else { return };
                self.last_id.clone_from(id);
            }
            out.push(format!(" ---> {}\n", self.last_id));
            self.at += 1;
            self.announced = false;
        }
    }
}
