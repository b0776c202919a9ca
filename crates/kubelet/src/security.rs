//! What a container's process may do: the pod's security context under the container's own
//! (pkg/securitycontext/util.go, pkg/kubelet/kuberuntime/security_context.go).

use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, SecurityContext};

/// The effective security settings. `None` leaves the image's or the engine's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Security {
    pub run_as_user: Option<i64>,
    pub run_as_group: Option<i64>,
    pub must_not_be_root: bool,
    pub supplemental_groups: Vec<u32>,
    pub fs_group: Option<i64>,
    pub privileged: bool,
    pub add: Vec<String>,
    pub drop: Vec<String>,
    pub no_new_privileges: bool,
    pub readonly_rootfs: bool,
    pub seccomp: Seccomp,
    pub unmasked_proc: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Seccomp {
    /// Upstream's kubelet default is unconfined unless the pod says otherwise.
    #[default]
    Unconfined,
    RuntimeDefault,
    /// A profile file below the node's seccomp directory.
    Localhost(String),
}

pub fn security(pod: &Pod, container: &Container) -> Security {
    let whole = pod.spec.as_ref().and_then(|s| s.security_context.clone()).unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let mut groups: Vec<u32> = Vec::new();
    let wanted = whole.supplemental_groups.iter().flatten().copied().chain(whole.fs_group);
    groups.extend(wanted.filter_map(|gid| u32::try_from(gid).ok()));
    let capabilities = own.capabilities.clone().unwrap_or_default();
    Security {
        run_as_user: own.run_as_user.or(whole.run_as_user),
        run_as_group: own.run_as_group.or(whole.run_as_group),
        must_not_be_root: own.run_as_non_root.or(whole.run_as_non_root) == Some(true),
        supplemental_groups: groups,
        fs_group: whole.fs_group,
        privileged: own.privileged == Some(true),
        add: capabilities.add.unwrap_or_default(),
        drop: capabilities.drop.unwrap_or_default(),
        no_new_privileges: own.allow_privilege_escalation == Some(false),
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        seccomp: seccomp(&own, &whole),
        unmasked_proc: own.proc_mount.as_deref() == Some("Unmasked"),
    }
}

fn seccomp(own: &SecurityContext, whole: &PodSecurityContext) -> Seccomp {
    let Some(profile) = own.seccomp_profile.as_ref().or(whole.seccomp_profile.as_ref()) else {
        return Seccomp::default();
    };
    match profile.type_.as_str() {
        "RuntimeDefault" => Seccomp::RuntimeDefault,
        "Localhost" => Seccomp::Localhost(profile.localhost_profile.clone().unwrap_or_default()),
        _ => Seccomp::Unconfined,
    }
}

/// `runAsNonRoot` against who the container would run as.
///
/// # Errors
/// Upstream's texts (`verifyRunAsNonRoot`), which become `CreateContainerConfigError`.
pub fn verify_non_root(
    security: &Security,
    image_user: &str,
    container: &str,
) -> Result<(), String> {
    if !security.must_not_be_root {
        return Ok(());
    }
    if let Some(uid) = security.run_as_user {
        return if uid == 0 {
            Err(format!("container's runAsUser breaks non-root policy (container: {container})"))
        } else {
            Ok(())
        };
    }
    let user = image_user.split(':').next().unwrap_or_default();
    match user.parse::<i64>() {
        Ok(0) => Err(format!(
            "container has runAsNonRoot and image will run as root (container: {container})"
        )),
        Ok(_) => Ok(()),
        Err(_) if user.is_empty() => Err(format!(
            "container has runAsNonRoot and image will run as root (container: {container})"
        )),
        Err(_) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root (container: {container})"
        )),
    }
}
