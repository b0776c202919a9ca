//! What a person reads when a command fails.

use crate::parse::Voice;
use remote::Error;
use std::fmt::Display;

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    /// What failed, on which object.
    pub what: String,
    pub cause: String,
    pub hint: Option<String>,
    /// The whole message as docker or kubectl would print it.
    pub plain: Option<String>,
    pub code: u8,
    /// Everything has been said already; only the exit code is left.
    pub silent: bool,
}

impl Failure {
    pub fn new(what: impl Into<String>, cause: impl Display) -> Self {
        let (what, cause) = (what.into(), cause.to_string());
        Self { what, cause, hint: None, plain: None, code: 1, silent: false }
    }

    /// A message that stands for itself.
    pub fn plain(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { plain: Some(message.clone()), ..Self::new(message, "") }
    }

    /// An exit code alone.
    pub fn exit(code: u8) -> Self {
        Self { code, silent: true, ..Self::new("", "") }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// What the engine said to `what`.
    pub fn docker(what: impl Into<String>, error: &Error) -> Self {
        let plain = match error {
            Error::Status { message, .. } => format!("Error response from daemon: {message}"),
            Error::Unreachable { server, .. } => format!(
                "Cannot connect to the Docker daemon at {server}. Is the docker daemon running?"
            ),
            other => other.to_string(),
        };
        let failure = Self { plain: Some(plain), ..Self::new(what, error) };
        match error {
            Error::Unreachable { .. } => failure.hint(
                "start one with `boxship up` or `boxship engine`, or say where it is with --host or DOCKER_HOST",
            ),
            _ => failure,
        }
    }

    /// What the cluster said to `what`, as kubectl tells it (`pkg/cmd/util/helpers.go`).
    pub fn kube(what: impl Into<String>, error: &Error) -> Self {
        let plain = match error {
            Error::Problem(problem) => {
                format!("Error from server ({}): {}", problem.reason.as_str(), problem.message)
            }
            Error::Status { message, .. } => format!("Error from server: {message}"),
            Error::Unreachable { server, cause } => {
                format!("The connection to the server {server} was refused or broke: {cause}")
            }
            other => format!("error: {other}"),
        };
        let plain = match error {
            Error::Problem(problem) if problem.reason == meta::Reason::Invalid => {
                invalid(&problem.message)
            }
            _ => plain,
        };
        let failure = Self { plain: Some(plain), ..Self::new(what, error) };
        match error {
            Error::Unreachable { .. } => failure
                .hint("is it running? `boxship up` starts one; KUBECONFIG or --kubeconfig says where it is"),
            _ => failure,
        }
    }

    /// Prints it in the voice of whoever was called.
    pub fn tell(&self, voice: Voice) {
        if self.silent {
            return;
        }
        match (&self.plain, voice) {
            (Some(plain), Voice::Docker) => eprintln!("{plain}"),
            (Some(plain), Voice::Kubectl) => {
                eprintln!("{plain}");
                if let Some(hint) = &self.hint {
                    eprintln!("hint: {hint}");
                }
            }
            (None, Voice::Docker) => eprintln!("{}: {}", self.what, self.cause),
            (None, Voice::Kubectl) => eprintln!("error: {}: {}", self.what, self.cause),
            (_, Voice::Boxship) => {
                eprintln!("error: {}", self.what);
                if !self.cause.is_empty() {
                    eprintln!("cause: {}", self.cause);
                }
                if let Some(hint) = &self.hint {
                    eprintln!("hint:  {hint}");
                }
            }
        }
    }
}

/// `Deployment.apps "x" is invalid: spec...` is told as it is, with `The` before it.
fn invalid(message: &str) -> String {
    format!("The {message}")
}
