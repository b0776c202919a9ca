//! Images of containers: the pull policy, the credentials of pull secrets, and what users are told
//! (pkg/kubelet/images/image_manager.go, pkg/credentialprovider/keyring.go).

use super::{Hands, Trouble};
use crate::report::{self, Event};
use image::{Credentials, DockerConfig, PullRequest};
use k8s_openapi::api::core::v1::{Container, Pod, Secret};
use std::collections::BTreeMap;
use std::time::Instant;
use typed::Read;

/// What is told about a pull goes to this pod, and this container of it (`spec.containers{web}`).
pub(crate) struct About<'a> {
    pub pod: &'a Pod,
    pub field_path: &'a str,
}

/// Sees to it that the container's image is here, as its policy says.
pub(crate) async fn ensure(
    hands: &Hands,
    about: &About<'_>,
    container: &Container,
) -> Result<(), Trouble> {
    let name = container.image.as_deref().unwrap_or_default();
    let reference: oci::Reference = match name.parse() {
        Ok(reference) => reference,
        Err(error) => {
            let message = format!("Failed to apply default image tag {name:?}: {error}");
            about.tell(hands, true, "InspectFailed", message.clone());
            return Err(Trouble::new("InvalidImageName", message));
        }
    };
    let present = hands.engine.image(name).is_ok();
    match container.image_pull_policy.as_deref().unwrap_or("IfNotPresent") {
        "Never" | "IfNotPresent" if present => {
            let message = format!("Container image {name:?} already present on machine");
            about.tell(hands, false, "Pulled", message);
            Ok(())
        }
        "Never" => {
            let message =
                format!("Container image {name:?} is not present with pull policy of Never");
            about.tell(hands, true, "ErrImageNeverPull", message.clone());
            Err(Trouble::new("ErrImageNeverPull", message))
        }
        _ => pull(hands, about, name, reference).await,
    }
}

async fn pull(
    hands: &Hands,
    about: &About<'_>,
    name: &str,
    reference: oci::Reference,
) -> Result<(), Trouble> {
    about.tell(hands, false, "Pulling", format!("Pulling image {name:?}"));
    let began = Instant::now();
    let known = credentials(&pull_secrets(hands, about.pod), &reference);
    match with_any(hands, &reference, known).await {
        Ok(()) => {
            let took = go_duration(began.elapsed());
            let bytes = hands.engine.image(name).map_or(0, |image| image.size);
            let message = format!(
                "Successfully pulled image {name:?} in {took} ({took} including waiting). \
                 Image size: {bytes} bytes."
            );
            about.tell(hands, false, "Pulled", message);
            Ok(())
        }
        Err(error) => {
            let message = format!("failed to pull image {name:?}: {error}");
            let told = format!("Failed to pull image {name:?}: {message}");
            about.tell(hands, true, "Failed", told);
            Err(Trouble::new("ErrImagePull", message))
        }
    }
}

/// Tries every set of credentials in turn; without any, what docker's own configuration on this machine has.
async fn with_any(
    hands: &Hands,
    reference: &oci::Reference,
    known: Vec<Credentials>,
) -> Result<(), String> {
    let tries: Vec<Option<Credentials>> = match known.is_empty() {
        true => vec![None],
        false => known.into_iter().map(Some).collect(),
    };
    let mut errors = Vec::new();
    for auth in tries {
        let request = PullRequest {
            reference: reference.clone(),
            platform: None,
            auth,
            reporter: image::Reporter::none(),
        };
        match hands.engine.images.pull(request).await {
            Ok(_) => return Ok(()),
            Err(error) => errors.push(error.to_string()),
        }
    }
    errors.dedup();
    Err(match errors.as_slice() {
        [only] => only.clone(),
        many => format!("[{}]", many.join(", ")),
    })
}

/// The configurations that the pod's pull secrets hold; admission has copied those of its service account. Secrets
/// that are missing or of another kind are passed over, as upstream does.
fn pull_secrets(hands: &Hands, pod: &Pod) -> Vec<DockerConfig> {
    let view = hands.client.view();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let named = pod.spec.iter().flat_map(|s| s.image_pull_secrets.iter().flatten());
    let secrets = named.filter_map(|secret| view.read::<Secret>(namespace, &secret.name));
    secrets.filter_map(|secret| docker_config(&secret)).collect()
}

fn docker_config(secret: &Secret) -> Option<DockerConfig> {
    let data = |key: &str| secret.data.as_ref()?.get(key).map(|bytes| bytes.0.clone());
    let parsed = match secret.type_.as_deref()? {
        "kubernetes.io/dockerconfigjson" => DockerConfig::parse(&data(".dockerconfigjson")?),
        "kubernetes.io/dockercfg" => {
            let auths: BTreeMap<String, Credentials> =
                serde_json::from_slice(&data(".dockercfg")?).ok()?;
            Ok(DockerConfig { auths, ..DockerConfig::default() })
        }
        _ => return None,
    };
    parsed.ok()
}

/// Every entry that fits the image: longer keys first, one after another through all secrets.
fn credentials(configs: &[DockerConfig], reference: &oci::Reference) -> Vec<Credentials> {
    let image = format!("{}/{}", reference.domain(), reference.path());
    let mut found: Vec<(String, Credentials)> = configs
        .iter()
        .flat_map(|config| &config.auths)
        .filter(|(key, _)| fits(&plain(key), &image))
        .filter_map(|(key, auth)| Some((plain(key), auth.clone().normalized().ok()?)))
        .filter(|(_, auth)| !auth.is_anonymous())
        .collect();
    found.sort_by(|(a, _), (b, _)| b.cmp(a));
    let mut out: Vec<Credentials> = found.into_iter().map(|(_, auth)| auth).collect();
    out.dedup();
    out
}

/// `https://index.docker.io/v1/` and its like are `docker.io`.
fn plain(key: &str) -> String {
    let bare = key.strip_prefix("https://").or(key.strip_prefix("http://")).unwrap_or(key);
    let bare = bare.trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or(bare.strip_suffix("/v2")).unwrap_or(bare);
    match bare {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".into(),
        other => other.into(),
    }
}

/// Hosts part by part (`*.example.com` fits one part), ports as they stand, paths by prefix.
fn fits(key: &str, image: &str) -> bool {
    let (key_host, key_path) = key.split_once('/').unwrap_or((key, ""));
    let (host, path) = image.split_once('/').unwrap_or((image, ""));
    let (key_name, key_port) = key_host.split_once(':').unwrap_or((key_host, ""));
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let (wanted, parts): (Vec<_>, Vec<_>) =
        (key_name.split('.').collect(), name.split('.').collect());
    key_port == port
        && wanted.len() == parts.len()
        && wanted.iter().zip(&parts).all(|(pattern, part)| glob(pattern, part))
        && path.starts_with(key_path)
}

/// `*` stands for any run of characters.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    let mut starts = (0..=text.len()).filter(|at| text.is_char_boundary(*at));
    starts.any(|at| glob(rest, &text[at..]))
}

/// `1.234s`, `15ms`, as Go prints what it has rounded to milliseconds.
fn go_duration(took: std::time::Duration) -> String {
    let ms = took.as_millis();
    match ms {
        60_000.. => format!("{}m{}s", ms / 60_000, ms / 1000 % 60),
        1000.. => {
            let text = format!("{}.{:03}", ms / 1000, ms % 1000);
            format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => format!("{ms}ms"),
    }
}

impl About<'_> {
    fn tell(&self, hands: &Hands, warning: bool, reason: &str, message: String) {
        let event = Event { warning, reason, message, field_path: self.field_path };
        report::event(hands, self.pod, &event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(config: &str, image: &str) -> Vec<String> {
        let config = DockerConfig::parse(config.as_bytes()).unwrap();
        let found = credentials(&[config], &image.parse().unwrap());
        found.into_iter().map(|c| c.username).collect()
    }

    #[test]
    fn longer_keys_come_first_and_hosts_may_have_stars() {
        let config = r#"{"auths":{
            "https://index.docker.io/v1/":{"auth":"aHViOnB3"},
            "*.example.com":{"username":"star","password":"x"},
            "reg.example.com/team":{"username":"team","password":"x"},
            "reg.example.com:5000":{"username":"port","password":"x"},
            "127.0.0.1:5000":{"username":"ip","password":"x"},
            "empty.example.com":{}}}"#;
        assert_eq!(names(config, "busybox"), ["hub"]);
        assert_eq!(names(config, "reg.example.com/team/app:1"), ["team", "star"]);
        assert_eq!(names(config, "reg.example.com/other"), ["star"]);
        assert_eq!(names(config, "reg.example.com:5000/app"), ["port"]);
        assert_eq!(names(config, "127.0.0.1:5000/app"), ["ip"]);
        assert!(names(config, "a.b.example.com/app").is_empty());
        assert!(names(config, "elsewhere.org/app").is_empty());
    }

    #[test]
    fn durations() {
        let text = |ms| go_duration(std::time::Duration::from_millis(ms));
        assert_eq!(
            (text(15), text(1234), text(2000)),
            ("15ms".into(), "1.234s".into(), "2s".into())
        );
    }
}
