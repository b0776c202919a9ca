//! The controllers' roles: each is `system:controller:<name>`, bound to the service account of that name
//! in kube-system. Rules are written as in the table of roles.

pub const CONTROLLERS: &[(&str, &[&str])] = &[
    (
        "attachdetach-controller",
        &[
            "list,watch core persistentvolumeclaims,persistentvolumes",
            "R core nodes",
            "patch,update core nodes/status",
            "list,watch core pods",
            "EVENTS",
            "create,delete,R storage.k8s.io volumeattachments",
            "R storage.k8s.io csidrivers",
            "R storage.k8s.io csinodes",
        ],
    ),
    (
        "clusterrole-aggregation-controller",
        &["escalate,R,patch,update rbac.authorization.k8s.io clusterroles"],
    ),
    (
        "cronjob-controller",
        &[
            "R,update batch cronjobs",
            "create,delete,R,patch,update batch jobs",
            "update batch cronjobs/status",
            "update batch cronjobs/finalizers",
            "delete,list core pods",
            "EVENTS",
        ],
    ),
    (
        "daemon-set-controller",
        &[
            "R apps,extensions daemonsets",
            "update apps,extensions daemonsets/status",
            "update apps,extensions daemonsets/finalizers",
            "list,watch core nodes",
            "create,delete,list,patch,watch core pods",
            "create core pods/binding",
            "create,delete,R,patch,update apps controllerrevisions",
            "EVENTS",
        ],
    ),
    (
        "deployment-controller",
        &[
            "R,update apps,extensions deployments",
            "update apps,extensions deployments/status",
            "update apps,extensions deployments/finalizers",
            "create,delete,R,patch,update apps,extensions replicasets",
            "R,update core pods",
            "EVENTS",
        ],
    ),
    (
        "device-taint-eviction-controller",
        &[
            "R core pods",
            "R resource.k8s.io deviceclasses,devicetaintrules,resourceclaims,resourceslices",
            "patch,update resource.k8s.io devicetaintrules/status",
            "delete core pods",
            "patch,update core pods/status",
            "EVENTS",
        ],
    ),
    (
        "disruption-controller",
        &[
            "R apps,extensions deployments",
            "R apps,extensions replicasets",
            "R core replicationcontrollers",
            "R policy poddisruptionbudgets",
            "R apps statefulsets",
            "update policy poddisruptionbudgets/status",
            "patch,update core pods/status",
            "get * */scale",
            "EVENTS",
        ],
    ),
    (
        "endpoint-controller",
        &[
            "R core pods,services",
            "create,delete,get,list,update core endpoints",
            "create core endpoints/restricted",
            "EVENTS",
        ],
    ),
    (
        "endpointslice-controller",
        &[
            "R core nodes,pods,services",
            "update core services/finalizers",
            "create,delete,get,list,update discovery.k8s.io endpointslices",
            "EVENTS",
        ],
    ),
    (
        "endpointslicemirroring-controller",
        &[
            "R core endpoints,services",
            "update core services/finalizers",
            "update core endpoints/finalizers",
            "create,delete,get,list,update discovery.k8s.io endpointslices",
            "EVENTS",
        ],
    ),
    (
        "expand-controller",
        &[
            "R,patch,update core persistentvolumes",
            "patch,update core persistentvolumeclaims/status",
            "R core persistentvolumeclaims",
            "EVENTS",
        ],
    ),
    (
        "ephemeral-volume-controller",
        &[
            "R core pods",
            "update core pods/finalizers",
            "create,R core persistentvolumeclaims",
            "EVENTS",
        ],
    ),
    (
        "resource-claim-controller",
        &[
            "R core pods",
            "update core pods/finalizers",
            "R resource.k8s.io resourceclaimtemplates",
            "create,delete,R resource.k8s.io resourceclaims",
            "patch,update resource.k8s.io resourceclaims,resourceclaims/status",
            "patch,update core pods/status",
            "EVENTS",
        ],
    ),
    ("generic-garbage-collector", &["delete,R,patch,update * *", "EVENTS"]),
    (
        "horizontal-pod-autoscaler",
        &[
            "R autoscaling horizontalpodautoscalers",
            "update autoscaling horizontalpodautoscalers/status",
            "get,update * */scale",
            "list core pods",
            "list metrics.k8s.io pods",
            "get,list custom.metrics.k8s.io *",
            "get,list external.metrics.k8s.io *",
            "EVENTS",
        ],
    ),
    (
        "job-controller",
        &[
            "R,patch,update batch jobs",
            "update batch jobs/status",
            "update batch jobs/finalizers",
            "create,delete,list,patch,watch core pods",
            "EVENTS",
        ],
    ),
    (
        "namespace-controller",
        &[
            "delete,R core namespaces",
            "update core namespaces/finalize,namespaces/status",
            "delete,deletecollection,get,list * *",
        ],
    ),
    (
        "node-controller",
        &[
            "delete,get,list,patch,update core nodes",
            "patch,update core nodes/status",
            "patch,update core pods/status",
            "delete,get,list core pods",
            "list networking.k8s.io servicecidrs",
            "EVENTS",
        ],
    ),
    (
        "persistent-volume-binder",
        &[
            "create,delete,R,update core persistentvolumes",
            "update core persistentvolumes/status",
            "R,update core persistentvolumeclaims",
            "update core persistentvolumeclaims/status",
            "create,delete,R core pods",
            "R storage.k8s.io storageclasses",
            "get,list core nodes",
            "watch core events",
            "EVENTS",
        ],
    ),
    (
        "pod-garbage-collector",
        &["delete,list,watch core pods", "get,list core nodes", "patch core pods/status"],
    ),
    (
        "replicaset-controller",
        &[
            "R,update apps,extensions replicasets",
            "update apps,extensions replicasets/status",
            "update apps,extensions replicasets/finalizers",
            "create,delete,list,patch,watch core pods",
            "EVENTS",
        ],
    ),
    (
        "replication-controller",
        &[
            "R,update core replicationcontrollers",
            "update core replicationcontrollers/status",
            "update core replicationcontrollers/finalizers",
            "create,delete,list,patch,watch core pods",
            "EVENTS",
        ],
    ),
    (
        "resourcequota-controller",
        &["list,watch * *", "update core resourcequotas/status", "EVENTS"],
    ),
    ("root-ca-cert-publisher", &["create,update core configmaps", "EVENTS"]),
    ("route-controller", &["list,watch core nodes", "patch core nodes/status", "EVENTS"]),
    (
        "selinux-warning-controller",
        &[
            "R core pods",
            "R core persistentvolumes",
            "R core persistentvolumeclaims",
            "R storage.k8s.io csidrivers",
            "EVENTS",
        ],
    ),
    ("service-account-controller", &["create core serviceaccounts", "EVENTS"]),
    (
        "service-controller",
        &[
            "R core services",
            "patch,update core services/status",
            "list,watch core nodes",
            "EVENTS",
        ],
    ),
    (
        "service-cidrs-controller",
        &[
            "R,patch,update networking.k8s.io servicecidrs",
            "patch,update networking.k8s.io servicecidrs/finalizers",
            "patch,update networking.k8s.io servicecidrs/status",
            "R networking.k8s.io ipaddresses",
            "EVENTS",
        ],
    ),
    (
        "statefulset-controller",
        &[
            "list,watch core pods",
            "R apps statefulsets",
            "update apps statefulsets/status",
            "update apps statefulsets/finalizers",
            "create,delete,get,patch,update core pods",
            "create,delete,R,patch,update apps controllerrevisions",
            "create,get core persistentvolumeclaims",
            "delete,update core persistentvolumeclaims",
            "EVENTS",
        ],
    ),
    (
        "taint-eviction-controller",
        &["delete,get,list core pods", "get,list core nodes", "patch core pods/status", "EVENTS"],
    ),
    ("ttl-controller", &["list,patch,update,watch core nodes", "EVENTS"]),
    ("ttl-after-finished-controller", &["delete,R batch jobs", "EVENTS"]),
    (
        "certificate-controller",
        &[
            "delete,R certificates.k8s.io certificatesigningrequests",
            "update certificates.k8s.io certificatesigningrequests/approval,certificatesigningrequests/status",
            "approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client-kubelet",
            "sign certificates.k8s.io signers kubernetes.io/kube-apiserver-client,kubernetes.io/kube-apiserver-client-kubelet,kubernetes.io/kubelet-serving,kubernetes.io/legacy-unknown",
            "create authorization.k8s.io subjectaccessreviews",
            "EVENTS",
        ],
    ),
    (
        "pvc-protection-controller",
        &["R,update core persistentvolumeclaims", "R core pods", "EVENTS"],
    ),
    ("pv-protection-controller", &["R,update core persistentvolumes", "EVENTS"]),
    (
        "volumeattributesclass-protection-controller",
        &[
            "R core persistentvolumeclaims",
            "R core persistentvolumes",
            "R,update storage.k8s.io volumeattributesclasses",
            "EVENTS",
        ],
    ),
    (
        "validatingadmissionpolicy-status-controller",
        &[
            "R admissionregistration.k8s.io validatingadmissionpolicies",
            "get,patch,update admissionregistration.k8s.io validatingadmissionpolicies/status",
            "EVENTS",
        ],
    ),
    (
        "legacy-service-account-token-cleaner",
        &[
            "get core configmaps kube-apiserver-legacy-service-account-token-tracking",
            "delete,patch core secrets",
        ],
    ),
];
