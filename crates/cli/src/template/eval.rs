//! From nodes and a value to text (Go `text/template/exec.go`).

use super::functions::{FUNCTIONS, printed, truth};
use super::parse::{Node, Operand, Pipeline};
use meta::Value;

pub(super) fn render(nodes: &[Node], value: &Value) -> Result<String, String> {
    let mut scope = Scope { out: String::new(), variables: vec![(String::new(), value.clone())] };
    scope.nodes(nodes, value)?;
    Ok(scope.out)
}

struct Scope {
    out: String,
    /// The innermost last; the nameless one is `$`.
    variables: Vec<(String, Value)>,
}

impl Scope {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), String> {
        let known = self.variables.len();
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Print(pipeline) => self.print(pipeline, dot)?,
                Node::If { branches, otherwise } => self.branches(branches, otherwise, dot)?,
                Node::Range { over, body, otherwise } => self.range(over, body, otherwise, dot)?,
                Node::With { of, body, otherwise } => {
                    let value = self.pipeline(of, dot)?;
                    if truth(&value) {
                        self.nodes(body, &value)?;
                    } else {
                        self.nodes(otherwise, dot)?;
                    }
                }
            }
        }
        self.variables.truncate(known);
        Ok(())
    }

    fn print(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<(), String> {
        let value = self.pipeline(pipeline, dot)?;
        match pipeline.variables.first() {
            Some(name) => self.variables.push((name.clone(), value)),
            None if value.is_null() => self.out.push_str("<no value>"),
            None => self.out.push_str(&printed(&value)),
        }
        Ok(())
    }

    fn branches(
        &mut self,
        branches: &[(Pipeline, Vec<Node>)],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), String> {
        for (condition, body) in branches {
            if truth(&self.pipeline(condition, dot)?) {
                return self.nodes(body, dot);
            }
        }
        self.nodes(otherwise, dot)
    }

    fn range(
        &mut self,
        over: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), String> {
        let items: Vec<(Value, Value)> = match self.pipeline(over, dot)? {
            Value::Array(list) => {
                list.into_iter().enumerate().map(|(at, v)| (Value::from(at), v)).collect()
            }
            Value::Object(map) => map.into_iter().map(|(key, v)| (Value::from(key), v)).collect(),
            Value::Null => Vec::new(),
            other => return Err(format!("range can't iterate over {}", printed(&other))),
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (key, value) in items {
            let known = self.variables.len();
            match over.variables.as_slice() {
                [one] => self.variables.push((one.clone(), value.clone())),
                [first, second] => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), value.clone()));
                }
                _ => {}
            }
            self.nodes(body, &value)?;
            self.variables.truncate(known);
        }
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut last: Option<Value> = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or_default())
    }

    fn command(
        &self,
        command: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, String> {
        let Some((first, rest)) = command.split_first() else { return Ok(Value::Null) };
        let Operand::Function(name) = first else {
            if !rest.is_empty() || piped.is_some() {
                return Err("can't give argument to non-function".into());
            }
            return self.operand(first, dot);
        };
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(piped);
        call(name, &arguments)
    }

    fn operand(&self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        match operand {
            Operand::Fields(fields) => follow(dot, fields),
            Operand::Constant(value) => Ok(value.clone()),
            Operand::Function(name) => call(name, &[]),
            Operand::Group(pipeline, fields) => follow(&self.pipeline(pipeline, dot)?, fields),
            Operand::Variable(name, fields) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let (_, value) = found.ok_or_else(|| format!("undefined variable \"${name}\""))?;
                follow(value, fields)
            }
        }
    }
}

fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let found = FUNCTIONS.iter().find(|(known, _)| *known == name);
    let (_, function) = found.ok_or_else(|| format!("function \"{name}\" not defined"))?;
    function(arguments).map_err(|why| format!("error calling {name}: {why}"))
}

/// Fields by name; Go's names and the wire's differ in case only (`ID`, `Id`).
fn follow(value: &Value, fields: &[String]) -> Result<Value, String> {
    let mut value = value;
    for field in fields {
        value = match value {
            Value::Object(map) => map
                .get(field)
                .or_else(|| map.iter().find(|(k, _)| k.eq_ignore_ascii_case(field)).map(|(_, v)| v))
                .unwrap_or(&Value::Null),
            Value::Null => &Value::Null,
            other => {
                return Err(format!("can't evaluate field {field} in {}", printed(other)));
            }
        };
    }
    Ok(value.clone())
}
