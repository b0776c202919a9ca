//! Instructions that only change the image's configuration (BuildKit `dockerfile2llb`,
//! `dispatch*`). They make no layer.

use oci::config::Empty;
use oci::{Config, Healthcheck};

use crate::instruction::{Command, Form, Healthcheck as Wanted};
use crate::scope::{self, Scope};

/// What a configuration step changed.
pub struct Applied {
    /// The row of `docker history`.
    pub created_by: String,
}

/// What the configuration steps need to know of the stage.
pub struct Setting<'a> {
    pub escape: char,
    pub args: &'a [(String, String)],
    /// Whether CMD was set in this stage: a new ENTRYPOINT clears an inherited one.
    pub cmd_set: bool,
}

/// Applies `command`; `None` when it is not one of these.
pub fn apply(
    command: &Command,
    config: &mut Config,
    setting: &Setting<'_>,
) -> Result<Option<Applied>, String> {
    let env = config.env.clone();
    let scope = Scope { env: &env, args: setting.args };
    let word = |text: &str| scope.word(text, setting.escape);
    let created_by = match command {
        Command::Env(pairs) => {
            let mut shown = Vec::new();
            for (name, value) in pairs {
                let (name, value) = (word(name)?, word(value)?);
                scope::set(&mut config.env, &name, &value);
                shown.push(format!("{name}={value}"));
            }
            format!("ENV {}", shown.join(" "))
        }
        Command::Label(pairs) => {
            let mut shown = Vec::new();
            for (name, value) in pairs {
                let (name, value) = (word(name)?, word(value)?);
                shown.push(format!("{name}={value}"));
                config.labels.insert(name, value);
            }
            format!("LABEL {}", shown.join(" "))
        }
        Command::Cmd(form) => program("CMD", form, config, setting),
        Command::Entrypoint(form) => program("ENTRYPOINT", form, config, setting),
        Command::Expose(ports) => expose(ports, config, &scope, setting.escape)?,
        Command::Volume(paths) => {
            let paths = paths.iter().map(|p| word(p)).collect::<Result<Vec<_>, _>>()?;
            if paths.iter().any(|p| p.trim().is_empty()) {
                return Err("VOLUME specified can not be an empty string".to_owned());
            }
            config.volumes.extend(paths.iter().map(|p| (p.clone(), Empty {})));
            format!("VOLUME [{}]", paths.join(" "))
        }
        Command::User(user) => {
            config.user = word(user)?;
            format!("USER {}", config.user)
        }
        Command::StopSignal(signal) => {
            config.stop_signal = word(signal)?;
            format!("STOPSIGNAL {}", config.stop_signal)
        }
        Command::Shell(words) => {
            config.shell.clone_from(words);
            format!("SHELL [{}]", words.join(" "))
        }
        Command::Onbuild(text) => {
            config.on_build.push(text.clone());
            format!("ONBUILD {text}")
        }
        Command::Healthcheck(wanted) => healthcheck(wanted, config),
        _ => return Ok(None),
    };
    Ok(Some(Applied { created_by }))
}

/// CMD and ENTRYPOINT.
fn program(keyword: &str, form: &Form, config: &mut Config, setting: &Setting<'_>) -> String {
    let args = command_line(form, config);
    let shown = format!("{keyword} {}", json(&args));
    if keyword == "CMD" {
        config.cmd = Some(args);
        return shown;
    }
    config.entrypoint = Some(args);
    if !setting.cmd_set {
        config.cmd = None;
    }
    shown
}

pub fn json(words: &[String]) -> String {
    serde_json::to_string(words).expect("strings are JSON")
}

/// The shell of RUN, CMD and ENTRYPOINT.
pub fn shell_of(config: &Config) -> Vec<String> {
    match config.shell.as_slice() {
        [] => vec!["/bin/sh".to_owned(), "-c".to_owned()],
        words => words.to_vec(),
    }
}

pub fn command_line(form: &Form, config: &Config) -> Vec<String> {
    match form {
        Form::Exec(words) => words.clone(),
        Form::Shell(text) => {
            let mut words = shell_of(config);
            words.push(text.clone());
            words
        }
    }
}

fn expose(
    ports: &[String],
    config: &mut Config,
    scope: &Scope<'_>,
    escape: char,
) -> Result<String, String> {
    let mut shown = Vec::new();
    for text in ports {
        for port in scope.words(text, escape)? {
            for one in port_range(&port)? {
                config.exposed_ports.insert(one.clone(), Empty {});
                shown.push(format!("{one}:{{}}"));
            }
        }
    }
    shown.sort();
    Ok(format!("EXPOSE map[{}]", shown.join(" ")))
}

/// `80`, `53/udp`, `8000-8010/tcp`; a mapping's host part is dropped.
fn port_range(text: &str) -> Result<Vec<String>, String> {
    let bad = || format!("invalid containerPort: {text}");
    let (ports, proto) = text.split_once('/').unwrap_or((text, "tcp"));
    let ports = ports.rsplit(':').next().unwrap_or(ports);
    let proto = proto.to_ascii_lowercase();
    if !matches!(proto.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {proto}"));
    }
    let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
    let (low, high): (u16, u16) =
        (low.parse().map_err(|_| bad())?, high.parse().map_err(|_| bad())?);
    if high < low {
        return Err(bad());
    }
    Ok((low..=high).map(|p| format!("{p}/{proto}")).collect())
}

fn healthcheck(wanted: &Wanted, config: &mut Config) -> String {
    let test = match &wanted.test {
        None => vec!["NONE".to_owned()],
        Some(Form::Shell(text)) => vec!["CMD-SHELL".to_owned(), text.clone()],
        Some(Form::Exec(words)) => {
            std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect()
        }
    };
    let shown = format!("HEALTHCHECK {}", json(&test));
    config.healthcheck = Some(Healthcheck {
        test,
        interval: wanted.interval,
        timeout: wanted.timeout,
        start_period: wanted.start_period,
        start_interval: wanted.start_interval,
        retries: wanted.retries,
    });
    shown
}
