//! kubectl's commands as rows.

use super::print::{DRY_RUN, MANAGED, OUTPUT, TEMPLATE};
use super::select::{ALL, ALL_NAMESPACES, FIELDS, FILES, SELECTOR};
use super::{
    apply, change, config, describe, exec, explain, forward, generate, get, info, logs, nodes,
    remove, rollout, top, wait,
};
use crate::command::{Command, Flag, MANY, NONE, Names, many, on, one, perhaps, run};

const NO_HEADERS: Flag = on("no-headers", None, "Without headings");
const CONTAINER: Flag = one("container", Some('c'), "NAME", "In which container");
const STDIN: Flag = on("stdin", Some('i'), "Hand standard input on");
const TTY: Flag = on("tty", Some('t'), "With a terminal");
const QUIET: Flag = on("quiet", Some('q'), "Only what was asked for");
const GRACE: Flag =
    one("grace-period", None, "SECONDS", "How long pods may take to end (-1: their own)");
const OVERWRITE: Flag = on("overwrite", None, "Replace values that are there");
const VALIDATE: Flag =
    perhaps("validate", "strict|warn|ignore", "strict", "What unknown fields are");
const TIMEOUT: Flag = one("timeout", None, "DURATION", "How long to wait");
const REPLICAS: Flag = one("replicas", Some('r'), "N", "How many");
/// What commands that write print.
const WRITES: &[Flag] = &[OUTPUT, TEMPLATE, MANAGED, DRY_RUN];

const GET: Command = Command {
    name: "get",
    about: "Show objects",
    usage: "[OPTIONS] KIND[,KIND...] [NAME...] | KIND/NAME...",
    flags: &[
        &[
            ALL_NAMESPACES,
            FIELDS,
            on("ignore-not-found", None, "What is missing is no error"),
            many("label-columns", Some('L'), "LABEL", "A column for a label"),
            NO_HEADERS,
            OUTPUT,
            one("raw", None, "PATH", "A path of the API as it answers"),
            SELECTOR,
            on("show-kind", None, "With the kind before names"),
            on("show-labels", None, "With a column of labels"),
            MANAGED,
            one("sort-by", None, "PATH", "By a field: .metadata.creationTimestamp"),
            TEMPLATE,
            on("watch", Some('w'), "And every change from now on"),
            on("watch-only", None, "Only changes from now on"),
        ],
        FILES,
    ],
    args: (0, MANY),
    examples: &[
        ("pods -A -o wide", "all pods"),
        ("deploy,svc -l app=web", "two kinds, by label"),
        ("pod web-1 -o jsonpath='{.status.podIP}'", "one field"),
        ("pods -w", "and every change"),
        (
            "nodes -o custom-columns=NAME:.metadata.name,CPU:.status.capacity.cpu",
            "columns of your choice",
        ),
    ],
    run: run!(get::get),
    completes: Names::Kinds,
    ..NONE
};

const DESCRIBE: Command = Command {
    name: "describe",
    about: "Show objects in detail, with their events",
    usage: "[OPTIONS] KIND [NAME...] | KIND/NAME...",
    flags: &[
        &[ALL_NAMESPACES, SELECTOR, perhaps("show-events", "BOOL", "true", "With events (true)")],
        FILES,
    ],
    args: (0, MANY),
    examples: &[("pod web-1", "why it does not run"), ("nodes", "all of them")],
    run: run!(describe::describe),
    completes: Names::Kinds,
    ..NONE
};

const APPLY: Command = Command {
    name: "apply",
    about: "Make the cluster what manifests say",
    usage: "-f FILE [OPTIONS]",
    flags: &[
        FILES,
        WRITES,
        &[
            one("field-manager", None, "NAME", "Who owns the fields"),
            on("force-conflicts", None, "Take fields over from others (with --server-side)"),
            on("server-side", None, "Refuse to take fields from others"),
            VALIDATE,
        ],
    ],
    examples: &[
        ("-f web.yaml", "created, configured or unchanged"),
        ("-f k8s/ -R", "a directory"),
        ("-f - < web.yaml", "standard input"),
        ("-f web.yaml --dry-run=server", "what would happen"),
    ],
    run: run!(apply::apply),
    completes: Names::Files,
    ..NONE
};

const DIFF: Command = Command {
    name: "diff",
    about: "Show what an apply would change",
    usage: "-f FILE",
    flags: &[FILES],
    examples: &[("-f web.yaml", "exit code 1 when there is a difference")],
    run: run!(apply::diff),
    completes: Names::Files,
    ..NONE
};

const REPLACE: Command = Command {
    name: "replace",
    about: "Replace objects by manifests",
    usage: "-f FILE",
    flags: &[FILES, WRITES, &[on("force", None, "Delete and create anew"), VALIDATE]],
    examples: &[("-f web.yaml", "fields that are not in it go")],
    run: run!(apply::replace),
    completes: Names::Files,
    ..NONE
};

const DELETE: Command = Command {
    name: "delete",
    about: "Delete objects",
    usage: "([-f FILE] | KIND [NAME... | -l LABELS | --all] | KIND/NAME...)",
    flags: &[
        FILES,
        &[
            ALL,
            ALL_NAMESPACES,
            perhaps(
                "cascade",
                "background|foreground|orphan",
                "background",
                "What becomes of what it owns",
            ),
            DRY_RUN,
            FIELDS,
            on("force", None, "Do not wait for it to end"),
            GRACE,
            on("ignore-not-found", None, "What is missing is no error"),
            on("now", None, "One second to end"),
            OUTPUT,
            SELECTOR,
            TIMEOUT,
            perhaps("wait", "BOOL", "true", "Until it is gone (true)"),
        ],
    ],
    args: (0, MANY),
    examples: &[
        ("pod web-1", "one"),
        ("deploy,svc -l app=web", "by label"),
        ("-f web.yaml", "what a file made"),
    ],
    run: run!(remove::delete),
    completes: Names::Kinds,
    ..NONE
};

const FROM: &[Flag] = &[
    many("from-env-file", None, "FILE", "Keys and values from lines"),
    many("from-file", None, "[KEY=]FILE|DIR", "A file's contents"),
    many("from-literal", None, "KEY=VALUE", "A value"),
];
const TCP: Flag = many("tcp", None, "PORT[:TARGET]", "A port");

const CREATE: Command = Command {
    name: "create",
    about: "Create objects from a manifest or from options",
    usage: "-f FILE | KIND NAME [OPTIONS]",
    flags: &[FILES, WRITES, &[VALIDATE]],
    examples: &[
        ("-f web.yaml", "an error when it is there already"),
        ("deployment web --image=nginx", "from options"),
    ],
    subs: &[CREATES],
    run: run!(apply::create),
    completes: Names::Files,
    ..NONE
};

const CREATES: &[Command] = &[
    Command {
        name: "clusterrole",
        about: "Create a ClusterRole",
        usage: "NAME --verb=VERB --resource=KIND",
        flags: &[ROLE, &[many("non-resource-url", None, "PATH", "A path of the API")], WRITES],
        args: (1, 1),
        examples: &[("reader --verb=get,list --resource=pods", "who may read pods")],
        run: run!(generate::role),
        ..NONE
    },
    Command {
        name: "clusterrolebinding",
        about: "Create a ClusterRoleBinding",
        usage: "NAME --clusterrole=NAME --user=NAME",
        flags: &[&[one("clusterrole", None, "NAME", "Which role")], SUBJECTS, WRITES],
        args: (1, 1),
        examples: &[("ops --clusterrole=cluster-admin --group=ops", "rights everywhere")],
        run: run!(generate::role_binding),
        ..NONE
    },
    Command {
        name: "configmap",
        aliases: &["cm"],
        about: "Create a ConfigMap",
        usage: "NAME [--from-literal=KEY=VALUE] [--from-file=FILE]",
        flags: &[FROM, WRITES],
        args: (1, 1),
        examples: &[(
            "settings --from-literal=level=info --from-file=app.conf",
            "a value and a file",
        )],
        run: run!(generate::config_map),
        ..NONE
    },
    Command {
        name: "cronjob",
        aliases: &["cj"],
        about: "Create a CronJob",
        usage: "NAME --image=IMAGE --schedule='MIN HOUR DAY MONTH WEEKDAY' [-- COMMAND...]",
        flags: &[
            &[
                one("image", None, "IMAGE", "What to run"),
                one("restart", None, "POLICY", "OnFailure or Never"),
                one("schedule", None, "CRON", "When"),
            ],
            WRITES,
        ],
        args: (1, MANY),
        examples: &[(
            "tidy --image=busybox --schedule='0 3 * * *' -- rm -rf /tmp/x",
            "every night",
        )],
        run: run!(generate::cron_job),
        ..NONE
    },
    Command {
        name: "deployment",
        aliases: &["deploy"],
        about: "Create a Deployment",
        usage: "NAME --image=IMAGE [--replicas=N] [-- COMMAND...]",
        flags: &[
            &[
                many("image", None, "IMAGE", "What to run"),
                one("port", None, "PORT", "What it serves"),
                REPLICAS,
            ],
            WRITES,
        ],
        args: (1, MANY),
        examples: &[("web --image=nginx --replicas=3 --port=80", "three of them")],
        run: run!(generate::deployment),
        ..NONE
    },
    Command {
        name: "job",
        about: "Create a Job",
        usage: "NAME --image=IMAGE [--from=cronjob/NAME] [-- COMMAND...]",
        flags: &[
            &[
                one("from", None, "cronjob/NAME", "As that one makes them"),
                one("image", None, "IMAGE", "What to run"),
            ],
            WRITES,
        ],
        args: (1, MANY),
        examples: &[
            ("once --image=busybox -- date", "once"),
            ("now --from=cronjob/tidy", "before its time"),
        ],
        run: run!(generate::job),
        ..NONE
    },
    Command {
        name: "namespace",
        aliases: &["ns"],
        about: "Create a Namespace",
        usage: "NAME",
        flags: &[WRITES],
        args: (1, 1),
        examples: &[("shop", "then `-n shop`")],
        run: run!(generate::namespace),
        ..NONE
    },
    Command {
        name: "role",
        about: "Create a Role",
        usage: "NAME --verb=VERB --resource=KIND",
        flags: &[ROLE, WRITES],
        args: (1, 1),
        examples: &[("reader --verb=get,list --resource=pods", "who may read pods here")],
        run: run!(generate::role),
        ..NONE
    },
    Command {
        name: "rolebinding",
        about: "Create a RoleBinding",
        usage: "NAME --role=NAME|--clusterrole=NAME --user=NAME",
        flags: &[
            &[
                one("clusterrole", None, "NAME", "Which ClusterRole"),
                one("role", None, "NAME", "Which Role"),
            ],
            SUBJECTS,
            WRITES,
        ],
        args: (1, 1),
        examples: &[("reads --role=reader --serviceaccount=shop:web", "rights here")],
        run: run!(generate::role_binding),
        ..NONE
    },
    Command {
        name: "secret",
        about: "Create a Secret",
        usage: "generic|tls|docker-registry NAME",
        subs: &[&[
            Command {
                name: "docker-registry",
                about: "Create a Secret with the password of a registry",
                usage: "NAME --docker-server=HOST --docker-username=NAME --docker-password=WORD",
                flags: &[
                    &[
                        one("docker-email", None, "ADDRESS", "Unused by most registries"),
                        one("docker-password", None, "WORD", "Its password"),
                        one("docker-server", None, "HOST", "Which registry"),
                        one("docker-username", None, "NAME", "As whom"),
                    ],
                    FROM,
                    WRITES,
                ],
                args: (1, 1),
                examples: &[(
                    "pull --docker-server=r.example --docker-username=me --docker-password=x",
                    "for imagePullSecrets",
                )],
                run: run!(generate::secret_registry),
                ..NONE
            },
            Command {
                name: "generic",
                about: "Create a Secret of keys and values",
                usage: "NAME [--from-literal=KEY=VALUE] [--from-file=FILE]",
                flags: &[FROM, &[one("type", None, "TYPE", "Opaque unless told")], WRITES],
                args: (1, 1),
                examples: &[("db --from-literal=password=x", "a value")],
                run: run!(generate::secret_generic),
                ..NONE
            },
            Command {
                name: "tls",
                about: "Create a Secret of a certificate and its key",
                usage: "NAME --cert=FILE --key=FILE",
                flags: &[
                    &[
                        one("cert", None, "FILE", "The certificate"),
                        one("key", None, "FILE", "Its key"),
                    ],
                    WRITES,
                ],
                args: (1, 1),
                examples: &[("web --cert=web.crt --key=web.key", "for an Ingress")],
                run: run!(generate::secret_tls),
                ..NONE
            },
        ]],
        ..NONE
    },
    Command {
        name: "service",
        aliases: &["svc"],
        about: "Create a Service",
        usage: "clusterip|externalname|loadbalancer|nodeport NAME",
        subs: &[&[
            Command {
                name: "clusterip",
                about: "Create a Service with an address in the cluster",
                usage: "NAME --tcp=PORT:TARGET",
                flags: &[&[one("clusterip", None, "IP|None", "Which address"), TCP], WRITES],
                args: (1, 1),
                examples: &[("web --tcp=80:8080", "for pods with app=web")],
                run: run!(generate::service_cluster_ip),
                ..NONE
            },
            Command {
                name: "externalname",
                about: "Create a Service that is a name elsewhere",
                usage: "NAME --external-name=NAME",
                flags: &[&[one("external-name", None, "NAME", "Which name"), TCP], WRITES],
                args: (1, 1),
                examples: &[("db --external-name=db.example", "a name for a name")],
                run: run!(generate::service_external_name),
                ..NONE
            },
            Command {
                name: "loadbalancer",
                about: "Create a Service with an address outside",
                usage: "NAME --tcp=PORT:TARGET",
                flags: &[&[TCP], WRITES],
                args: (1, 1),
                examples: &[("web --tcp=80:8080", "for pods with app=web")],
                run: run!(generate::service_load_balancer),
                ..NONE
            },
            Command {
                name: "nodeport",
                about: "Create a Service with a port of every node",
                usage: "NAME --tcp=PORT:TARGET",
                flags: &[&[one("node-port", None, "PORT", "Which port"), TCP], WRITES],
                args: (1, 1),
                examples: &[("web --tcp=80:8080", "for pods with app=web")],
                run: run!(generate::service_node_port),
                ..NONE
            },
        ]],
        ..NONE
    },
    Command {
        name: "serviceaccount",
        aliases: &["sa"],
        about: "Create a ServiceAccount",
        usage: "NAME",
        flags: &[WRITES],
        args: (1, 1),
        examples: &[("web", "then `create token web`")],
        run: run!(generate::service_account),
        ..NONE
    },
    Command {
        name: "token",
        about: "Print a token of a ServiceAccount",
        usage: "NAME",
        flags: &[&[
            many("audience", None, "NAME", "For whom"),
            one("duration", None, "DURATION", "For how long"),
        ]],
        args: (1, 1),
        examples: &[("web --duration=10m", "for ten minutes")],
        run: run!(generate::token),
        ..NONE
    },
];

const ROLE: &[Flag] = &[
    many("resource", None, "KIND", "On what: pods, deployments.apps/scale"),
    many("resource-name", None, "NAME", "Only on these"),
    many("verb", None, "VERB", "What: get, list, watch, create ..."),
];
const SUBJECTS: &[Flag] = &[
    many("group", None, "NAME", "A group"),
    many("serviceaccount", None, "NAMESPACE:NAME", "A ServiceAccount"),
    many("user", None, "NAME", "A user"),
];

const RUN: Command = Command {
    name: "run",
    about: "Run an image as a pod",
    usage: "NAME --image=IMAGE [OPTIONS] [-- COMMAND...]",
    flags: &[
        &[
            on("attach", None, "Stay with it"),
            on("command", None, "The words after -- are the command, not its arguments"),
            many("env", None, "NAME=VALUE", "Set a variable"),
            one("image", None, "IMAGE", "What to run"),
            one("image-pull-policy", None, "POLICY", "Always, IfNotPresent or Never"),
            one("labels", Some('l'), "LABELS", "Its labels"),
            one("port", None, "PORT", "What it serves"),
            one("restart", None, "POLICY", "Always, OnFailure or Never"),
            on("rm", None, "Delete it when it ends"),
            STDIN,
            TTY,
            QUIET,
        ],
        WRITES,
    ],
    args: (1, MANY),
    examples: &[("sh --rm -it --image=busybox --restart=Never -- sh", "a shell in the cluster")],
    run: run!(generate::run),
    ..NONE
};

const EXPOSE: Command = Command {
    name: "expose",
    about: "Create a Service for what runs",
    usage: "(KIND NAME | KIND/NAME) [--port=PORT] [--type=TYPE]",
    flags: &[
        FILES,
        &[
            one("cluster-ip", None, "IP", "Its address"),
            one("external-ip", None, "IP", "An address outside"),
            one("name", None, "NAME", "Its name"),
            one("port", None, "PORT", "Its port"),
            one("protocol", None, "PROTOCOL", "TCP, UDP or SCTP"),
            one("selector", Some('l'), "LABELS", "Other pods"),
            one("target-port", None, "PORT", "The pods' port"),
            one("type", None, "TYPE", "ClusterIP, NodePort, LoadBalancer"),
        ],
        WRITES,
    ],
    args: (0, 2),
    examples: &[(
        "deployment web --port=80 --target-port=8080 --type=LoadBalancer",
        "an address outside",
    )],
    run: run!(generate::expose),
    completes: Names::Kinds,
    ..NONE
};

const AUTOSCALE: Command = Command {
    name: "autoscale",
    about: "Create a HorizontalPodAutoscaler",
    usage: "(KIND NAME | KIND/NAME) [--min=N] --max=N [--cpu=70%]",
    flags: &[
        FILES,
        &[
            one("cpu", None, "PERCENT", "Of the requested CPU"),
            one("cpu-percent", None, "N", "The same as a number"),
            one("max", None, "N", "At most"),
            one("min", None, "N", "At least"),
            one("name", None, "NAME", "Its name"),
        ],
        WRITES,
    ],
    args: (0, 2),
    examples: &[("deployment web --min=2 --max=10 --cpu=70%", "by load")],
    run: run!(generate::autoscale),
    completes: Names::Kinds,
    ..NONE
};

const LOGS: Command = Command {
    name: "logs",
    about: "Show what containers said",
    usage: "[OPTIONS] POD | KIND/NAME [-c CONTAINER]",
    flags: &[&[
        on("all-containers", None, "Of every container"),
        on("all-pods", None, "Of every pod"),
        CONTAINER,
        on("follow", Some('f'), "Go on as they speak"),
        one("limit-bytes", None, "N", "At most"),
        one("max-log-requests", None, "N", "How many to follow at once (5)"),
        on("prefix", None, "With pod and container before lines"),
        on("previous", Some('p'), "Of the container before the last restart"),
        SELECTOR,
        one("since", None, "DURATION", "Only the last 5m"),
        one("since-time", None, "TIME", "Only from then on"),
        one("tail", None, "N", "The last N lines"),
        on("timestamps", None, "With times"),
    ]],
    args: (0, 2),
    examples: &[
        ("-f deploy/web", "follow one of its pods"),
        ("-l app=web --prefix --tail=20", "all pods with a label"),
        ("web-1 -p", "why it restarted"),
    ],
    run: run!(logs::logs),
    completes: Names::Kinds,
    ..NONE
};

const EXEC: Command = Command {
    name: "exec",
    about: "Run a command in a container",
    usage: "POD | KIND/NAME [-c CONTAINER] [-it] -- COMMAND [ARG...]",
    flags: &[&[CONTAINER, QUIET, STDIN, TTY]],
    args: (1, MANY),
    examples: &[
        ("-it deploy/web -- sh", "a shell inside"),
        ("web-1 -- cat /etc/hosts", "one command"),
    ],
    run: run!(exec::exec),
    ..NONE
};

const ATTACH: Command = Command {
    name: "attach",
    about: "Attach to a running container",
    usage: "POD | KIND/NAME [-c CONTAINER] [-it]",
    flags: &[&[CONTAINER, QUIET, STDIN, TTY]],
    args: (1, 1),
    examples: &[("web-1 -i", "its first process")],
    run: run!(exec::attach),
    ..NONE
};

const CP: Command = Command {
    name: "cp",
    about: "Copy files between a container and this machine (needs tar inside)",
    usage: "[NAMESPACE/]POD:SRC DEST | SRC [NAMESPACE/]POD:DEST",
    flags: &[&[CONTAINER]],
    args: (2, 2),
    examples: &[("web-1:/etc/hosts ./hosts", "out of it"), ("site web-1:/srv", "into it")],
    run: run!(exec::copy),
    completes: Names::Files,
    ..NONE
};

const FORWARD: Command = Command {
    name: "port-forward",
    about: "Forward ports of this machine to a pod",
    usage: "POD | KIND/NAME [HERE:]PORT...",
    flags: &[&[one("address", None, "IP,...", "Where to listen (localhost)")]],
    args: (1, MANY),
    examples: &[("svc/web 8080:80", "then localhost:8080"), ("web-1 :80", "any free port here")],
    run: run!(forward::forward),
    ..NONE
};

const SCALE: Command = Command {
    name: "scale",
    about: "Set how many there are",
    usage: "--replicas=N (KIND NAME | KIND/NAME)...",
    flags: &[
        FILES,
        &[
            ALL,
            one("current-replicas", None, "N", "Only when there are this many"),
            REPLICAS,
            SELECTOR,
        ],
        WRITES,
    ],
    args: (0, MANY),
    examples: &[("deployment web --replicas=5", "five of them")],
    run: run!(change::scale),
    completes: Names::Kinds,
    ..NONE
};

const ROLLOUTS: &[Command] = &[
    Command {
        name: "history",
        about: "Show the revisions there were",
        usage: "(KIND NAME | KIND/NAME)",
        flags: &[FILES, &[one("revision", None, "N", "What one looked like"), SELECTOR]],
        args: (0, MANY),
        examples: &[("deploy/web --revision=2", "what it looked like")],
        run: run!(rollout::history),
        ..NONE
    },
    Command {
        name: "pause",
        about: "Let changes gather without rolling them out",
        usage: "(KIND NAME | KIND/NAME)",
        flags: &[FILES, &[SELECTOR]],
        args: (0, MANY),
        examples: &[("deploy/web", "until `rollout resume`")],
        run: run!(rollout::pause),
        ..NONE
    },
    Command {
        name: "restart",
        about: "Replace all pods",
        usage: "(KIND NAME | KIND/NAME)",
        flags: &[FILES, &[SELECTOR]],
        args: (0, MANY),
        examples: &[("deploy/web", "one after the other")],
        run: run!(rollout::restart),
        ..NONE
    },
    Command {
        name: "resume",
        about: "Roll gathered changes out",
        usage: "(KIND NAME | KIND/NAME)",
        flags: &[FILES, &[SELECTOR]],
        args: (0, MANY),
        examples: &[("deploy/web", "after `rollout pause`")],
        run: run!(rollout::resume),
        ..NONE
    },
    Command {
        name: "status",
        about: "Follow a rollout until it is done",
        usage: "(KIND NAME | KIND/NAME)",
        flags: &[
            FILES,
            &[SELECTOR, TIMEOUT, perhaps("watch", "BOOL", "true", "Until it is done (true)")],
        ],
        args: (0, MANY),
        examples: &[("deploy/web --timeout=60s", "at most a minute")],
        run: run!(rollout::status_command),
        ..NONE
    },
    Command {
        name: "undo",
        about: "Go back to an earlier revision",
        usage: "(KIND NAME | KIND/NAME)",
        flags: &[
            FILES,
            &[DRY_RUN, SELECTOR, one("to-revision", None, "N", "Which one (the last)")],
        ],
        args: (0, MANY),
        examples: &[("deploy/web", "the one before")],
        run: run!(rollout::undo),
        ..NONE
    },
];

const ROLLOUT: Command = Command {
    name: "rollout",
    about: "Follow, pause, undo rollouts",
    examples: &[("status deploy/web", "until it is done"), ("undo deploy/web", "back again")],
    subs: &[ROLLOUTS],
    ..NONE
};

const SET: Command = Command {
    name: "set",
    about: "Change parts of objects",
    subs: &[&[
        Command {
            name: "env",
            about: "Set variables of containers",
            usage: "KIND/NAME NAME=VALUE... NAME-...",
            flags: &[
                FILES,
                &[one("containers", Some('c'), "NAME", "Of one container"), SELECTOR],
                WRITES,
            ],
            args: (0, MANY),
            examples: &[("deploy/web LEVEL=debug OLD-", "sets one, removes one")],
            run: run!(change::set_env),
            ..NONE
        },
        Command {
            name: "image",
            about: "Set the images of containers",
            usage: "KIND/NAME CONTAINER=IMAGE...",
            flags: &[FILES, &[SELECTOR], WRITES],
            args: (0, MANY),
            examples: &[
                ("deploy/web web=shop/web:2", "rolls it out"),
                ("deploy/web '*=shop/web:2'", "of all containers"),
            ],
            run: run!(change::set_image),
            ..NONE
        },
        Command {
            name: "resources",
            about: "Set requests and limits of containers",
            usage: "KIND/NAME [--limits=cpu=1,memory=1Gi] [--requests=...]",
            flags: &[
                FILES,
                &[
                    one("containers", Some('c'), "NAME", "Of one container"),
                    one("limits", None, "AMOUNTS", "At most"),
                    one("requests", None, "AMOUNTS", "At least"),
                    SELECTOR,
                ],
                WRITES,
            ],
            args: (0, MANY),
            examples: &[("deploy/web --limits=memory=256Mi", "rolls it out")],
            run: run!(change::set_resources),
            ..NONE
        },
    ]],
    ..NONE
};

const LABEL: Command = Command {
    name: "label",
    about: "Set and remove labels",
    usage: "KIND NAME KEY=VALUE... KEY-...",
    flags: &[
        FILES,
        &[ALL, ALL_NAMESPACES, FIELDS, on("list", None, "Show them"), OVERWRITE, SELECTOR],
        WRITES,
    ],
    args: (1, MANY),
    examples: &[("pod web-1 tier=front", "sets it"), ("pods --all tier-", "removes it from all")],
    run: run!(change::label),
    completes: Names::Kinds,
    ..NONE
};

const ANNOTATE: Command = Command {
    name: "annotate",
    about: "Set and remove annotations",
    run: run!(change::annotate),
    examples: &[(
        "deploy web kubernetes.io/change-cause='version 2'",
        "shown by `rollout history`",
    )],
    ..LABEL
};

const PATCH: Command = Command {
    name: "patch",
    about: "Change fields",
    usage: "(KIND NAME | KIND/NAME) -p PATCH",
    flags: &[
        FILES,
        &[
            one("patch", Some('p'), "PATCH", "JSON or YAML"),
            one("patch-file", None, "FILE", "The patch in a file"),
            one("subresource", None, "NAME", "Of status, scale ..."),
            one("type", None, "TYPE", "strategic, merge or json"),
        ],
        WRITES,
    ],
    args: (0, 2),
    examples: &[("deploy web -p '{\"spec\":{\"replicas\":3}}'", "one field")],
    run: run!(change::patch),
    completes: Names::Kinds,
    ..NONE
};

const EDIT: Command = Command {
    name: "edit",
    about: "Edit an object in your editor",
    usage: "(KIND NAME | KIND/NAME)",
    flags: &[FILES, &[OUTPUT, TEMPLATE, MANAGED]],
    args: (0, MANY),
    examples: &[("deploy web", "in $KUBE_EDITOR, $EDITOR or vi")],
    run: run!(change::edit),
    completes: Names::Kinds,
    ..NONE
};

const WAIT: Command = Command {
    name: "wait",
    about: "Wait for a condition, a field or the end",
    usage: "(KIND NAME | KIND/NAME) --for=WHAT",
    flags: &[
        FILES,
        &[
            ALL,
            ALL_NAMESPACES,
            FIELDS,
            one("for", None, "WHAT", "condition=NAME, delete, create, jsonpath='{.a}'=b"),
            SELECTOR,
            one("timeout", None, "DURATION", "How long (30s)"),
        ],
    ],
    args: (0, MANY),
    examples: &[
        ("pod -l app=web --for=condition=Ready", "all of them"),
        ("job/once --for=condition=Complete --timeout=5m", "a job"),
    ],
    run: run!(wait::wait),
    completes: Names::Kinds,
    ..NONE
};

const CORDON: Command = Command {
    name: "cordon",
    about: "Take no new pods on a node",
    usage: "NODE",
    flags: &[&[DRY_RUN, SELECTOR]],
    args: (0, MANY),
    examples: &[("node-1", "until `uncordon`")],
    run: run!(nodes::cordon),
    ..NONE
};

const UNCORDON: Command = Command {
    name: "uncordon",
    about: "Take pods on a node again",
    examples: &[("node-1", "after `cordon` or `drain`")],
    ..CORDON
};

const DRAIN: Command = Command {
    name: "drain",
    about: "Move all pods off a node",
    usage: "NODE",
    flags: &[&[
        on("delete-emptydir-data", None, "Pods with emptyDir volumes too"),
        DRY_RUN,
        on("force", None, "Pods without a controller too"),
        GRACE,
        on("ignore-daemonsets", None, "Leave pods of DaemonSets"),
        one("pod-selector", None, "LABELS", "Only pods with these labels"),
        SELECTOR,
        TIMEOUT,
    ]],
    args: (0, MANY),
    examples: &[("node-1 --ignore-daemonsets --delete-emptydir-data", "before work on it")],
    run: run!(nodes::drain),
    ..NONE
};

const TAINT: Command = Command {
    name: "taint",
    about: "Set and remove taints of nodes",
    usage: "node NAME KEY[=VALUE]:EFFECT... KEY[:EFFECT]-...",
    flags: &[&[ALL, DRY_RUN, OVERWRITE, SELECTOR]],
    args: (1, MANY),
    examples: &[("node node-1 gpu=yes:NoSchedule", "sets it"), ("node node-1 gpu-", "removes it")],
    run: run!(nodes::taint),
    ..NONE
};

const TOP: Command = Command {
    name: "top",
    about: "Show what nodes and pods use",
    subs: &[&[
        Command {
            name: "node",
            aliases: &["nodes", "no"],
            about: "Show what nodes use",
            usage: "[NAME]",
            flags: &[&[NO_HEADERS, SELECTOR, one("sort-by", None, "cpu|memory", "The most first")]],
            args: (0, 1),
            examples: &[("", "all of them")],
            run: run!(top::nodes),
            ..NONE
        },
        Command {
            name: "pod",
            aliases: &["pods", "po"],
            about: "Show what pods use",
            usage: "[NAME]",
            flags: &[&[
                ALL_NAMESPACES,
                on("containers", None, "Container by container"),
                NO_HEADERS,
                SELECTOR,
                one("sort-by", None, "cpu|memory", "The most first"),
            ]],
            args: (0, 1),
            examples: &[("-A --sort-by=memory", "the biggest first")],
            run: run!(top::pods),
            ..NONE
        },
    ]],
    ..NONE
};

const CONFIG: Command = Command {
    name: "config",
    about: "Look at and change the kubeconfig",
    subs: &[&[
        Command {
            name: "current-context",
            about: "Print the current context",
            run: run!(config::current),
            examples: &[("", "its name")],
            ..NONE
        },
        Command {
            name: "delete-context",
            about: "Remove a context",
            usage: "NAME",
            args: (1, 1),
            examples: &[("old", "its cluster and user stay")],
            run: run!(config::delete_context),
            ..NONE
        },
        Command {
            name: "get-clusters",
            about: "List clusters",
            run: run!(config::clusters),
            examples: &[("", "their names")],
            ..NONE
        },
        Command {
            name: "get-contexts",
            about: "List contexts",
            usage: "[NAME...]",
            flags: &[&[NO_HEADERS, OUTPUT]],
            args: (0, MANY),
            examples: &[("", "the current one has a star")],
            run: run!(config::contexts),
            ..NONE
        },
        Command {
            name: "set-context",
            about: "Create or change a context",
            usage: "NAME | --current [--namespace=NAME] [--cluster=NAME] [--user=NAME]",
            flags: &[&[on("current", None, "The current one")]],
            args: (0, 1),
            examples: &[("--current --namespace=shop", "no -n from now on")],
            run: run!(config::set_context),
            ..NONE
        },
        Command {
            name: "use-context",
            aliases: &["use"],
            about: "Make a context the current one",
            usage: "NAME",
            args: (1, 1),
            examples: &[("boxship", "from now on")],
            run: run!(config::use_context),
            ..NONE
        },
        Command {
            name: "view",
            about: "Print the kubeconfig without secrets",
            flags: &[&[
                on("minify", None, "Only the current context"),
                OUTPUT,
                on("raw", None, "With secrets"),
            ]],
            examples: &[("--minify", "the current context")],
            run: run!(config::view),
            ..NONE
        },
    ]],
    ..NONE
};

const EXPLAIN: Command = Command {
    name: "explain",
    about: "Show what fields mean",
    usage: "KIND[.FIELD...]",
    flags: &[&[
        one("api-version", None, "GROUP/VERSION", "Of which version"),
        on("recursive", None, "All fields below"),
    ]],
    args: (1, 1),
    examples: &[("deployment.spec.strategy", "a field"), ("pod --recursive", "all of them")],
    run: run!(explain::explain),
    completes: Names::Kinds,
    ..NONE
};

const RESOURCES: Command = Command {
    name: "api-resources",
    about: "List the kinds the server has",
    flags: &[&[
        one("api-group", None, "GROUP", "Of one group"),
        perhaps("namespaced", "BOOL", "true", "Only those in namespaces, or not in them"),
        NO_HEADERS,
        OUTPUT,
        one("sort-by", None, "name|kind", "In which order"),
        many("verbs", None, "VERBS", "Only those that can be list, delete ..."),
    ]],
    examples: &[("--namespaced=false", "those of the whole cluster")],
    run: run!(info::api_resources),
    ..NONE
};

const AUTH: Command = Command {
    name: "auth",
    about: "Ask what one may do",
    subs: &[&[
        Command {
            name: "can-i",
            about: "Ask whether something is allowed",
            usage: "VERB KIND[/NAME] | VERB /PATH",
            flags: &[&[
                ALL_NAMESPACES,
                QUIET,
                one("subresource", None, "NAME", "Of log, exec ..."),
            ]],
            args: (1, 2),
            examples: &[("create deployments -n shop", "yes or no")],
            run: run!(info::can_i),
            ..NONE
        },
        Command {
            name: "whoami",
            about: "Ask who one is",
            run: run!(info::who_am_i),
            examples: &[("", "name and groups")],
            ..NONE
        },
    ]],
    ..NONE
};

const VERSION: Command = Command {
    name: "version",
    about: "Show the versions of client and server",
    flags: &[&[on("client", None, "Only the client's"), OUTPUT]],
    examples: &[("-o json", "for programs")],
    run: run!(info::version),
    ..NONE
};

pub const COMMANDS: &[&[Command]] = &[
    &[GET, DESCRIBE, EXPLAIN, APPLY, CREATE, RUN, EXPOSE, SET, EDIT, DELETE],
    &[ROLLOUT, SCALE, AUTOSCALE],
    &[LOGS, EXEC, ATTACH, FORWARD, CP, TOP],
    &[CORDON, UNCORDON, DRAIN, TAINT],
    &[DIFF, PATCH, REPLACE, WAIT, LABEL, ANNOTATE],
    &[
        RESOURCES,
        Command {
            name: "api-versions",
            about: "List API versions",
            run: run!(info::api_versions),
            examples: &[("", "group/version")],
            ..NONE
        },
        AUTH,
        Command {
            name: "cluster-info",
            about: "Show where the cluster is",
            run: run!(info::cluster_info),
            examples: &[("", "its address")],
            ..NONE
        },
        CONFIG,
        VERSION,
        crate::complete::ROW,
    ],
];
