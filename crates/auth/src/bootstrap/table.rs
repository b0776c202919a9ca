//! The bootstrap policy as rows.
//!
//! Facts from `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/{policy,controller_policy,namespace_policy}.go`
//! (v1.35 with its default feature gates). A rule is `verbs groups resources [names]`, or `verbs /path,/path*`
//! for paths outside the resources; lists are separated by commas, `core` is the group `""`. Short verbs: `R` get, list, watch;
//! `W` create, delete, deletecollection, patch, update; `EVENTS` stands for the rule every reporter has.

/// A ClusterRole.
pub struct Role {
    pub name: &'static str,
    /// Name of the aggregated role this one is part of (`aggregate-to-<name>`).
    pub part_of: &'static str,
    pub rules: &'static [&'static str],
}

/// A ClusterRoleBinding to the ClusterRole of the same name. Subjects: `g:` group, `u:` user, `s:` service account.
pub struct Binding {
    pub role: &'static str,
    pub subjects: &'static [&'static str],
}

/// A Role with a RoleBinding `binding` (`""`: none) in one namespace.
pub struct Local {
    pub namespace: &'static str,
    pub name: &'static str,
    pub rules: &'static [&'static str],
    pub binding: &'static str,
    pub subjects: &'static [&'static str],
}

/// Roles that unite others, and the role they are themselves part of.
pub const AGGREGATED: &[(&str, &str)] = &[("admin", ""), ("edit", "admin"), ("view", "edit")];

const fn role(name: &'static str, rules: &'static [&'static str]) -> Role {
    Role { name, part_of: "", rules }
}

pub const ROLES: &[Role] = &[
    role("cluster-admin", &["* * *", "* *"]),
    role(
        "system:discovery",
        &[
            "get /api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/",
        ],
    ),
    role(
        "system:monitoring",
        &["get /healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*"],
    ),
    role(
        "system:basic-user",
        &[
            "create authorization.k8s.io selfsubjectaccessreviews,selfsubjectrulesreviews",
            "create authentication.k8s.io selfsubjectreviews",
        ],
    ),
    role("system:public-info-viewer", &["get /healthz,/livez,/readyz,/version,/version/"]),
    Role {
        name: "system:aggregate-to-admin",
        part_of: "admin",
        rules: &[
            "create authorization.k8s.io localsubjectaccessreviews",
            "R,W rbac.authorization.k8s.io rolebindings,roles",
        ],
    },
    Role {
        name: "system:aggregate-to-edit",
        part_of: "edit",
        rules: &[
            "R core pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy",
            "impersonate core serviceaccounts",
            "W core pods,pods/attach,pods/exec,pods/portforward,pods/proxy",
            "create core pods/eviction",
            "W core configmaps,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets,serviceaccounts,services,services/proxy",
            "create core serviceaccounts/token",
            "W core events",
            "W apps daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,statefulsets,statefulsets/scale",
            "W autoscaling horizontalpodautoscalers",
            "W batch cronjobs,jobs",
            "W extensions daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,networkpolicies,replicasets,replicasets/scale,replicationcontrollers/scale",
            "W policy poddisruptionbudgets",
            "W networking.k8s.io ingresses,networkpolicies",
            "R,W coordination.k8s.io leases",
            "W resource.k8s.io resourceclaims,resourceclaimtemplates",
        ],
    },
    Role {
        name: "system:aggregate-to-view",
        part_of: "view",
        rules: &[
            "R core configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status",
            "R core bindings,events,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status,resourcequotas,resourcequotas/status",
            "R core namespaces",
            "R discovery.k8s.io endpointslices",
            "R apps controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status",
            "R autoscaling horizontalpodautoscalers,horizontalpodautoscalers/status",
            "R batch cronjobs,cronjobs/status,jobs,jobs/status",
            "R extensions daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses,ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status,replicationcontrollers/scale",
            "R policy poddisruptionbudgets,poddisruptionbudgets/status",
            "R networking.k8s.io ingresses,ingresses/status,networkpolicies",
            "R resource.k8s.io resourceclaims,resourceclaims/status,resourceclaimtemplates",
        ],
    },
    role("system:heapster", &["R core events,namespaces,nodes,pods", "R extensions deployments"]),
    role(
        "system:node",
        &[
            "create authentication.k8s.io tokenreviews",
            "create authorization.k8s.io localsubjectaccessreviews,subjectaccessreviews",
            "R core services",
            "create,R core nodes",
            "patch,update core nodes/status",
            "patch,update core nodes",
            "create,patch,update core events",
            "R core pods",
            "create,delete core pods",
            "patch,update core pods/status",
            "create core pods/eviction",
            "patch core pods/resize",
            "R core configmaps,secrets",
            "get core persistentvolumeclaims,persistentvolumes",
            "get core endpoints",
            "create,R certificates.k8s.io certificatesigningrequests",
            "create,delete,get,patch,update coordination.k8s.io leases",
            "get storage.k8s.io volumeattachments",
            "create core serviceaccounts/token",
            "get,patch,update core persistentvolumeclaims/status",
            "R storage.k8s.io csidrivers",
            "create,delete,get,patch,update storage.k8s.io csinodes",
            "R node.k8s.io runtimeclasses",
            "get resource.k8s.io resourceclaims",
            "deletecollection resource.k8s.io resourceslices",
            "create,delete,get,list,patch,update,watch resource.k8s.io resourceslices",
        ],
    ),
    role("system:node-problem-detector", &["get core nodes", "patch core nodes/status", "EVENTS"]),
    role(
        "system:kubelet-api-admin",
        &[
            "R core nodes",
            "proxy core nodes",
            "* core nodes/configz,nodes/healthz,nodes/log,nodes/metrics,nodes/pods,nodes/proxy,nodes/stats",
        ],
    ),
    role("system:node-bootstrapper", &["create,R certificates.k8s.io certificatesigningrequests"]),
    role(
        "system:auth-delegator",
        &[
            "create authentication.k8s.io tokenreviews",
            "create authorization.k8s.io subjectaccessreviews",
        ],
    ),
    role("system:kube-aggregator", &["R core endpoints,services"]),
    role(
        "system:kube-controller-manager",
        &[
            "EVENTS",
            "create coordination.k8s.io leases",
            "get,update coordination.k8s.io leases kube-controller-manager",
            "create core secrets,serviceaccounts",
            "delete core secrets",
            "get core configmaps,namespaces,secrets,serviceaccounts",
            "update core secrets,serviceaccounts",
            "create authentication.k8s.io tokenreviews",
            "create authorization.k8s.io subjectaccessreviews",
            "list,watch * *",
            "create core serviceaccounts/token",
        ],
    ),
    role("system:kube-dns", &["list,watch core endpoints,services"]),
    role(
        "system:persistent-volume-provisioner",
        &[
            "create,delete,R core persistentvolumes",
            "R,update core persistentvolumeclaims",
            "R storage.k8s.io storageclasses",
            "watch core events",
            "EVENTS",
        ],
    ),
    role(
        "system:kube-scheduler",
        &[
            "EVENTS",
            "create coordination.k8s.io leases",
            "get,update,list,watch coordination.k8s.io leases kube-scheduler",
            "create coordination.k8s.io leasecandidates",
            "delete,deletecollection,R,patch,update coordination.k8s.io leasecandidates",
            "R core nodes",
            "delete,R core pods",
            "create core bindings,pods/binding",
            "patch,update core pods/status",
            "R core replicationcontrollers,services",
            "R apps,extensions replicasets",
            "R apps statefulsets",
            "R policy poddisruptionbudgets",
            "R core persistentvolumeclaims,persistentvolumes",
            "create authentication.k8s.io tokenreviews",
            "create authorization.k8s.io subjectaccessreviews",
            "R storage.k8s.io csinodes",
            "R core namespaces",
            "R storage.k8s.io csidrivers",
            "R storage.k8s.io csistoragecapacities",
            "R storage.k8s.io volumeattachments",
            "R resource.k8s.io deviceclasses",
            "R,patch,update resource.k8s.io resourceclaims",
            "patch,update resource.k8s.io resourceclaims/status",
            "patch,update core pods/finalizers",
            "R resource.k8s.io resourceslices",
        ],
    ),
    role(
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        &["create certificates.k8s.io certificatesigningrequests/nodeclient"],
    ),
    role(
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        &["create certificates.k8s.io certificatesigningrequests/selfnodeclient"],
    ),
    role(
        "system:volume-scheduler",
        &[
            "R,patch,update core persistentvolumes",
            "R storage.k8s.io storageclasses",
            "R,patch,update core persistentvolumeclaims",
        ],
    ),
    role(
        "system:certificates.k8s.io:legacy-unknown-approver",
        &["approve certificates.k8s.io signers kubernetes.io/legacy-unknown"],
    ),
    role(
        "system:certificates.k8s.io:kubelet-serving-approver",
        &["approve certificates.k8s.io signers kubernetes.io/kubelet-serving"],
    ),
    role(
        "system:certificates.k8s.io:kube-apiserver-client-approver",
        &["approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client"],
    ),
    role(
        "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
        &["approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client-kubelet"],
    ),
    role(
        "system:service-account-issuer-discovery",
        &["get /.well-known/openid-configuration,/openid/v1/jwks"],
    ),
    role(
        "system:node-proxier",
        &[
            "list,watch core endpoints,services",
            "R core nodes",
            "EVENTS",
            "list,watch networking.k8s.io servicecidrs",
            "list,watch discovery.k8s.io endpointslices",
        ],
    ),
];

pub const BINDINGS: &[Binding] = &[
    Binding { role: "cluster-admin", subjects: &["g:system:masters"] },
    Binding { role: "system:monitoring", subjects: &["g:system:monitoring"] },
    Binding { role: "system:discovery", subjects: &["g:system:authenticated"] },
    Binding { role: "system:basic-user", subjects: &["g:system:authenticated"] },
    Binding {
        role: "system:public-info-viewer",
        subjects: &["g:system:authenticated", "g:system:unauthenticated"],
    },
    Binding { role: "system:node-proxier", subjects: &["u:system:kube-proxy"] },
    Binding {
        role: "system:kube-controller-manager",
        subjects: &["u:system:kube-controller-manager"],
    },
    Binding { role: "system:kube-dns", subjects: &["s:kube-system/kube-dns"] },
    Binding { role: "system:kube-scheduler", subjects: &["u:system:kube-scheduler"] },
    Binding { role: "system:volume-scheduler", subjects: &["u:system:kube-scheduler"] },
    // Upstream keeps this binding without subjects: nodes have their own authorizer.
    Binding { role: "system:node", subjects: &[] },
    Binding {
        role: "system:service-account-issuer-discovery",
        subjects: &["g:system:serviceaccounts"],
    },
];

const LEADER: &str = "create,R,update coordination.k8s.io leases";

pub const LOCALS: &[Local] = &[
    Local {
        namespace: "kube-system",
        name: "extension-apiserver-authentication-reader",
        rules: &["R core configmaps extension-apiserver-authentication"],
        binding: "system::extension-apiserver-authentication-reader",
        subjects: &["u:system:kube-controller-manager", "u:system:kube-scheduler"],
    },
    Local {
        namespace: "kube-system",
        name: "system:controller:bootstrap-signer",
        rules: &["R core secrets"],
        binding: "system:controller:bootstrap-signer",
        subjects: &["s:kube-system/bootstrap-signer"],
    },
    Local {
        namespace: "kube-system",
        name: "system:controller:cloud-provider",
        rules: &["create,R core configmaps"],
        binding: "system:controller:cloud-provider",
        subjects: &["s:kube-system/cloud-provider"],
    },
    Local {
        namespace: "kube-system",
        name: "system:controller:token-cleaner",
        rules: &["R,delete core secrets", "EVENTS"],
        binding: "system:controller:token-cleaner",
        subjects: &["s:kube-system/token-cleaner"],
    },
    Local {
        namespace: "kube-system",
        name: "system::leader-locking-kube-controller-manager",
        rules: &[
            "watch core configmaps",
            "get,update core configmaps kube-controller-manager",
            LEADER,
        ],
        binding: "system::leader-locking-kube-controller-manager",
        subjects: &["u:system:kube-controller-manager", "s:kube-system/kube-controller-manager"],
    },
    Local {
        namespace: "kube-system",
        name: "system::leader-locking-kube-scheduler",
        rules: &["watch core configmaps", "get,update core configmaps kube-scheduler"],
        binding: "system::leader-locking-kube-scheduler",
        subjects: &["u:system:kube-scheduler", "s:kube-system/kube-scheduler"],
    },
    Local {
        namespace: "kube-public",
        name: "system:controller:bootstrap-signer",
        rules: &["R core configmaps", "update core configmaps cluster-info", "EVENTS"],
        binding: "system:controller:bootstrap-signer",
        subjects: &["s:kube-system/bootstrap-signer"],
    },
];
