//! `--change`: single Dockerfile instructions applied to an image's configuration.

use oci::Config;

/// The instructions that commit and import accept.
pub fn apply(config: &mut Config, line: &str) -> Result<(), String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    if rest.is_empty() {
        return Err(format!("{} requires at least one argument", word.to_ascii_uppercase()));
    }
    match word.to_ascii_uppercase().as_str() {
        "CMD" => config.cmd = Some(command(rest)?),
        "ENTRYPOINT" => config.entrypoint = Some(command(rest)?),
        "ENV" => pairs(rest)?.into_iter().for_each(|(k, v)| set_env(&mut config.env, &k, &v)),
        "LABEL" => config.labels.extend(pairs(rest)?),
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                let (number, protocol) = engine::ports::parse_port(port)
                    .ok_or_else(|| format!("invalid containerPort: {port}"))?;
                config.exposed_ports.insert(format!("{number}/{protocol}"), Default::default());
            }
        }
        "USER" => rest.clone_into(&mut config.user),
        "WORKDIR" => config.working_dir = workdir(&config.working_dir, rest),
        "VOLUME" => {
            let list = if rest.starts_with('[') { json_words(rest)? } else { words(rest)? };
            config.volumes.extend(list.into_iter().map(|v| (v, Default::default())));
        }
        "STOPSIGNAL" => rest.clone_into(&mut config.stop_signal),
        "ONBUILD" => config.on_build.push(rest.to_owned()),
        "HEALTHCHECK" if rest.eq_ignore_ascii_case("none") => {
            let test = vec!["NONE".to_owned()];
            config.healthcheck = Some(oci::Healthcheck { test, ..Default::default() });
        }
        word => return Err(format!("{word} is not a valid change command")),
    }
    Ok(())
}

fn workdir(old: &str, new: &str) -> String {
    if new.starts_with('/') {
        new.to_owned()
    } else {
        format!("{}/{new}", old.trim_end_matches('/'))
    }
}

fn json_words(text: &str) -> Result<Vec<String>, String> {
    serde_json::from_str(text).map_err(|e| format!("{text}: {e}"))
}

fn command(rest: &str) -> Result<Vec<String>, String> {
    match serde_json::from_str::<Vec<String>>(rest) {
        Ok(words) => Ok(words),
        Err(_) => Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), rest.to_owned()]),
    }
}

fn set_env(env: &mut Vec<String>, key: &str, value: &str) {
    let prefix = format!("{key}=");
    let pair = format!("{key}={value}");
    match env.iter_mut().find(|e| e.starts_with(&prefix)) {
        Some(old) => *old = pair,
        None => env.push(pair),
    }
}

/// `a=b "c d"=e`, or the old form `a b c`.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let list = words(text)?;
    if !list.first().is_some_and(|w| w.contains('=')) {
        let (key, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        return Ok(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    let split = |w: &String| {
        let (k, v) = w.split_once('=').ok_or_else(|| {
            format!("Syntax error - can't find = in \"{w}\". Must be of the form: name=value")
        })?;
        Ok((k.to_owned(), v.to_owned()))
    };
    list.iter().map(split).collect()
}

/// Words with quotes and backslashes, as a Dockerfile has them.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut out, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => (quote, any) = (Some(c), true),
            (None | Some('"'), '\\') => word.extend(chars.next()),
            (None, c) if c.is_whitespace() => {
                if any || !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                    any = false;
                }
            }
            (_, c) => word.push(c),
        }
    }
    if quote.is_some() {
        return Err(format!("unterminated quote in {text}"));
    }
    if any || !word.is_empty() {
        out.push(word);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions() {
        let mut c = Config::default();
        for line in [
            "CMD [\"a\", \"b\"]",
            "ENTRYPOINT run it",
            "ENV A=1 B=\"x y\"",
            "ENV A two words",
            "LABEL k='v w'",
            "EXPOSE 80 53/udp",
            "WORKDIR /a",
            "WORKDIR b",
            "VOLUME [\"/v\"]",
        ] {
            apply(&mut c, line).unwrap();
        }
        assert_eq!(c.cmd.unwrap(), ["a", "b"]);
        assert_eq!(c.entrypoint.unwrap(), ["/bin/sh", "-c", "run it"]);
        assert_eq!(c.env, ["A=two words", "B=x y"]);
        assert_eq!(c.labels["k"], "v w");
        assert_eq!(c.working_dir, "/a/b");
        assert_eq!(c.exposed_ports.len(), 2);
        assert!(apply(&mut Config::default(), "RUN x").is_err());
        assert!(apply(&mut Config::default(), "ENV").is_err());
    }
}
