//! Go's templates over JSON: what `--format` and `-o go-template` take.
//!
//! Actions, pipelines, `if`, `range`, `with`, variables and the functions docker and kubectl add. Not there:
//! `define`, `template`, `block`, methods.

mod eval;
mod functions;
mod parse;

use meta::Value;

pub(crate) use functions::printed;

/// A parsed template.
pub struct Template(Vec<parse::Node>);

impl Template {
    /// # Errors
    /// Where it is not a template.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::template(text).map(Self).map_err(|why| format!("template parsing error: {why}"))
    }

    /// # Errors
    /// What it asks of the value that cannot be.
    pub fn render(&self, value: &Value) -> Result<String, String> {
        eval::render(&self.0, value).map_err(|why| format!("template: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(text: &str) -> String {
        let value = json!({
            "Id": "abc", "State": { "Running": true, "ExitCode": 0 }, "Names": ["/a", "/b"],
            "Ports": { "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "8080" }] },
            "Labels": { "a": "1", "b": "2" }, "Size": 42, "Empty": [],
        });
        Template::parse(text).and_then(|t| t.render(&value)).unwrap_or_else(|e| e)
    }

    #[test]
    fn what_people_write() {
        for (template, expected) in [
            ("{{.ID}} {{.State.Running}}", "abc true"),
            ("{{json .Names}}", r#"["/a","/b"]"#),
            ("{{range .Names}}{{.}};{{end}}", "/a;/b;"),
            ("{{range $k, $v := .Labels}}{{$k}}={{$v}} {{end}}", "a=1 b=2 "),
            (r#"{{(index (index .Ports "80/tcp") 0).HostPort}}"#, "8080"),
            ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
            ("{{if eq .State.ExitCode 0}}ok{{else if .Id}}id{{end}}", "ok"),
            (r#"{{join .Names ", " | upper}}"#, "/A, /B"),
            ("{{range .Empty}}x{{else}}none{{end}}", "none"),
            ("{{with .Nothing}}x{{else}}y{{end}} {{.Nothing}}", "y <no value>"),
            (r#"{{printf "%-5s|%d|%q" .Id .Size .Id}}"#, "abc  |42|\"abc\""),
            ("a {{- /* note */ -}} b", "ab"),
            ("{{.Names}} {{.Labels}}", "[/a /b] map[a:1 b:2]"),
            ("{{len .Names}}{{println}}", "2\n"),
            ("{{$x := .Id}}{{$x}}", "abc"),
            ("{{and .Id (not .Empty)}}", "true"),
        ] {
            assert_eq!(rendered(template), expected, "{template}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(rendered("{{.Id").contains("unclosed action"));
        assert!(rendered("{{if .Id}}x").contains("unexpected end"));
        assert!(rendered("{{nosuch .Id}}").contains("function \"nosuch\" not defined"));
        assert!(rendered("{{index .Names 7}}").contains("out of range"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_no_panic(text in "[a-z.{}() $|\"0-9:=,-]{0,60}") {
            let _ = Template::parse(&text).and_then(|t| t.render(&json!({ "a": [1, 2] })));
        }
    }
}
