//! A client's configuration on top of the image's; moby `daemon/commit.go` (`merge`) and
//! `daemon/container.go`.

use std::collections::BTreeMap;

use oci::{Config as ImageDefaults, Healthcheck as ImageCheck};

use crate::config::{Config, Dict, Empty, Healthcheck, items};
use crate::error::{EngineError, Result};

/// Fills what the client left open from the image.
pub fn with_image(mut wanted: Config, image: &ImageDefaults) -> Config {
    if wanted.user.is_empty() {
        wanted.user.clone_from(&image.user);
    }
    if wanted.working_dir.is_empty() {
        wanted.working_dir.clone_from(&image.working_dir);
    }
    if wanted.stop_signal.is_empty() {
        wanted.stop_signal.clone_from(&image.stop_signal);
    }
    wanted.stop_timeout = wanted.stop_timeout.or(image.stop_timeout);
    union(&mut wanted.exposed_ports, image.exposed_ports.keys());
    union(&mut wanted.volumes, image.volumes.keys());
    if wanted.env.is_some() || !image.env.is_empty() {
        wanted.env = Some(merged_env(items(&wanted.env), &image.env));
    }
    let labels = wanted.labels.get_or_insert_default();
    for (key, value) in &image.labels {
        labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    if wanted.shell.is_none() && !image.shell.is_empty() {
        wanted.shell = Some(image.shell.clone());
    }
    if wanted.on_build.is_none() && !image.on_build.is_empty() {
        wanted.on_build = Some(image.on_build.clone());
    }
    merge_command(&mut wanted, image);
    wanted.healthcheck = merge_check(wanted.healthcheck.take(), image.healthcheck.as_ref());
    wanted
}

fn union<'a>(into: &mut Dict<Empty>, keys: impl Iterator<Item = &'a String>) {
    let mut keys = keys.peekable();
    if keys.peek().is_some() {
        into.get_or_insert_with(BTreeMap::new).extend(keys.map(|k| (k.clone(), Empty {})));
    }
}

/// The client's variables first, then those of the image that it does not set.
fn merged_env(wanted: &[String], image: &[String]) -> Vec<String> {
    fn name(pair: &str) -> &str {
        pair.split('=').next().unwrap_or(pair)
    }
    let unset = |pair: &&String| !wanted.iter().any(|w| name(w) == name(pair));
    wanted.iter().chain(image.iter().filter(unset)).cloned().collect()
}

/// The image's command only counts with the image's entrypoint; `[""]` means no entrypoint.
fn merge_command(wanted: &mut Config, image: &ImageDefaults) {
    if items(&wanted.entrypoint).is_empty() {
        if items(&wanted.cmd).is_empty() {
            wanted.cmd.clone_from(&image.cmd);
        }
        if wanted.entrypoint.is_none() {
            wanted.entrypoint.clone_from(&image.entrypoint);
        }
    }
    if wanted.entrypoint.as_deref() == Some(&[String::new()]) {
        wanted.entrypoint = None;
    }
}

fn merge_check(wanted: Option<Healthcheck>, image: Option<&ImageCheck>) -> Option<Healthcheck> {
    let Some(image) = image else { return wanted };
    let mut check = wanted.unwrap_or_default();
    if items(&check.test).is_empty() {
        check.test = Some(image.test.clone());
    }
    let fill = |value: &mut i64, default: i64| {
        if *value == 0 {
            *value = default;
        }
    };
    fill(&mut check.interval, image.interval);
    fill(&mut check.timeout, image.timeout);
    fill(&mut check.start_period, image.start_period);
    fill(&mut check.start_interval, image.start_interval);
    fill(&mut check.retries, image.retries);
    Some(check)
}

/// What runs: the entrypoint's words followed by the command's.
pub fn command_line(config: &Config) -> Result<(String, Vec<String>)> {
    let mut words = items(&config.entrypoint).iter().chain(items(&config.cmd)).cloned();
    let path = words.next().ok_or_else(|| EngineError::invalid("no command specified"))?;
    Ok((path, words.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageDefaults {
        ImageDefaults {
            entrypoint: Some(vec!["/ep".into()]),
            cmd: Some(vec!["default".into()]),
            env: vec!["A=1".into(), "PATH=/bin".into()],
            ..Default::default()
        }
    }

    fn line(config: Config) -> String {
        let (path, args) = command_line(&with_image(config, &image())).unwrap();
        format!("{path} {}", args.join(" "))
    }

    #[test]
    fn commands() {
        let words = |w: &str| Some(w.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(line(Config::default()), "/ep default");
        assert_eq!(line(Config { cmd: words("x"), ..Default::default() }), "/ep x");
        let own = Config { entrypoint: words("sh -c"), ..Default::default() };
        assert_eq!(line(own), "sh -c");
        let none =
            Config { entrypoint: Some(vec![String::new()]), cmd: words("ls"), ..Config::default() };
        assert_eq!(line(none), "ls ");
    }

    #[test]
    fn environment() {
        let own = Config { env: Some(vec!["A=2".into()]), ..Default::default() };
        assert_eq!(items(&with_image(own, &image()).env), ["A=2", "PATH=/bin"]);
    }
}
