//! docker's commands as rows.

use super::{
    build, containers, copy, events, exec, images, inspect, list, login, logs, network, options,
    run, stats, system, transfer, volume,
};
use crate::command::{Command, Flag, MANY, NONE, Names, many, on, one, perhaps, run};

const FORMAT: Flag = one("format", None, "TEMPLATE", "`json`, a Go template, or `table TEMPLATE`");
const FILTER: Flag = many("filter", Some('f'), "KEY=VALUE", "Only what matches");
const QUIET: Flag = on("quiet", Some('q'), "Only names or ids");
const NO_TRUNC: Flag = on("no-trunc", None, "Do not shorten");
const FORCE: Flag = on("force", Some('f'), "Do not ask");
const DETACH_KEYS: Flag = one("detach-keys", None, "KEYS", "Keys that detach (ctrl-p,ctrl-q)");
const TIME: Flag = one("time", Some('t'), "SECONDS", "How long to wait before killing");
const TIMEOUT: Flag = one("timeout", None, "SECONDS", "The same as --time");
const SIGNAL: Flag = one("signal", Some('s'), "SIGNAL", "What to send");

const PS: Command = Command {
    name: "ps",
    about: "List containers",
    usage: "[OPTIONS]",
    flags: &[&[
        on("all", Some('a'), "Stopped ones too"),
        FILTER,
        FORMAT,
        one("last", Some('n'), "N", "The last N, in any state"),
        on("latest", Some('l'), "The last one, in any state"),
        NO_TRUNC,
        QUIET,
        on("size", Some('s'), "With sizes"),
    ]],
    examples: &[
        ("-a", "all of them, stopped ones too"),
        ("-q --filter status=exited", "ids of those that ended"),
        ("--format 'table {{.Names}}\\t{{.Status}}'", "columns of your choice"),
    ],
    run: run!(list::containers),
    ..NONE
};

const LS: Command = Command { name: "ls", aliases: &["ps", "list"], ..PS };

const RUN: Command = Command {
    name: "run",
    about: "Create and start a container",
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    flags: &[
        options::FLAGS,
        &[
            on("detach", Some('d'), "Print the id and return"),
            DETACH_KEYS,
            perhaps("sig-proxy", "BOOL", "true", "Hand signals on (true)"),
        ],
    ],
    args: (1, MANY),
    rest_after: 1,
    examples: &[
        ("--rm -it debian:12 bash", "a shell that leaves nothing behind"),
        ("-d --name web -p 8080:80 --restart unless-stopped nginx", "a service in the background"),
        ("--rm -v \"$PWD\":/src -w /src -u 1000 rust cargo build", "a tool on your files"),
        ("--rm -m 256m --cpus 0.5 alpine true", "within limits"),
    ],
    run: run!(run::run),
    completes: Names::Images,
    ..NONE
};

const CREATE: Command = Command {
    name: "create",
    about: "Create a container without starting it",
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    flags: &[options::FLAGS],
    args: (1, MANY),
    rest_after: 1,
    examples: &[("--name web -p 8080:80 nginx", "then `start web`")],
    run: run!(run::create),
    completes: Names::Images,
    ..NONE
};

const EXEC: Command = Command {
    name: "exec",
    about: "Run a command in a running container",
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    flags: &[&[
        on("detach", Some('d'), "Do not wait for it"),
        DETACH_KEYS,
        many("env", Some('e'), "NAME[=VALUE]", "Set a variable"),
        many("env-file", None, "FILE", "Variables from a file"),
        on("interactive", Some('i'), "Hand standard input on"),
        on("privileged", None, "With all rights"),
        on("tty", Some('t'), "With a terminal"),
        one("user", Some('u'), "USER[:GROUP]", "As whom"),
        one("workdir", Some('w'), "DIR", "Where"),
    ]],
    args: (2, MANY),
    rest_after: 1,
    examples: &[
        ("-it web sh", "a shell inside"),
        ("-u root web cat /etc/shadow", "as somebody else"),
    ],
    run: run!(exec::exec),
    completes: Names::Containers,
    ..NONE
};

const LOGS: Command = Command {
    name: "logs",
    about: "Show what a container said",
    usage: "[OPTIONS] CONTAINER",
    flags: &[&[
        on("details", None, "With extra attributes"),
        on("follow", Some('f'), "Go on as it speaks"),
        one("since", None, "TIME", "From then on: 2026-01-02T15:04:05Z or 10m"),
        one("tail", Some('n'), "N", "The last N lines"),
        on("timestamps", Some('t'), "With times"),
        one("until", None, "TIME", "Up to then"),
    ]],
    args: (1, 1),
    examples: &[("-f --tail 20 web", "the last lines, and what comes")],
    run: run!(logs::logs),
    completes: Names::Containers,
    ..NONE
};

const START: Command = Command {
    name: "start",
    about: "Start stopped containers",
    usage: "[OPTIONS] CONTAINER...",
    flags: &[&[
        on("attach", Some('a'), "Stay with it and take its exit code"),
        DETACH_KEYS,
        on("interactive", Some('i'), "Hand standard input on"),
    ]],
    args: (1, MANY),
    examples: &[("web", "in the background"), ("-ai job", "and stay with it")],
    run: run!(run::start),
    completes: Names::Containers,
    ..NONE
};

const STOP: Command = Command {
    name: "stop",
    about: "Stop running containers",
    usage: "[OPTIONS] CONTAINER...",
    flags: &[&[SIGNAL, TIME, TIMEOUT]],
    args: (1, MANY),
    examples: &[("web", "with ten seconds to finish"), ("-t 0 web", "at once")],
    run: run!(containers::stop),
    completes: Names::Containers,
    ..NONE
};

const RESTART: Command = Command {
    name: "restart",
    about: "Restart containers",
    run: run!(containers::restart),
    examples: &[("web", "stop and start again")],
    ..STOP
};

const KILL: Command = Command {
    name: "kill",
    about: "Send a signal to running containers",
    usage: "[OPTIONS] CONTAINER...",
    flags: &[&[SIGNAL]],
    args: (1, MANY),
    examples: &[("web", "SIGKILL"), ("-s HUP web", "any other signal")],
    run: run!(containers::kill),
    completes: Names::Containers,
    ..NONE
};

const PAUSE: Command = Command {
    name: "pause",
    about: "Freeze containers",
    usage: "CONTAINER...",
    args: (1, MANY),
    examples: &[("web", "until `unpause web`")],
    run: run!(containers::pause),
    completes: Names::Containers,
    ..NONE
};

const UNPAUSE: Command = Command {
    name: "unpause",
    about: "Let frozen containers go on",
    run: run!(containers::unpause),
    examples: &[("web", "let it go on")],
    ..PAUSE
};

const RM: Command = Command {
    name: "rm",
    about: "Remove containers",
    usage: "[OPTIONS] CONTAINER...",
    flags: &[&[
        on("force", Some('f'), "Running ones too"),
        on("link", Some('l'), "The link only"),
        on("volumes", Some('v'), "With their anonymous volumes"),
    ]],
    args: (1, MANY),
    examples: &[("web", "a stopped one"), ("-fv web", "whatever it does, with its volumes")],
    run: run!(containers::remove),
    completes: Names::Containers,
    ..NONE
};

const WAIT: Command = Command {
    name: "wait",
    about: "Wait until containers end and print their exit codes",
    usage: "CONTAINER...",
    args: (1, MANY),
    examples: &[("job", "prints its exit code")],
    run: run!(containers::wait),
    completes: Names::Containers,
    ..NONE
};

const RENAME: Command = Command {
    name: "rename",
    about: "Rename a container",
    usage: "CONTAINER NEW_NAME",
    args: (2, 2),
    examples: &[("web old-web", "give it another name")],
    run: run!(containers::rename),
    completes: Names::Containers,
    ..NONE
};

const ATTACH: Command = Command {
    name: "attach",
    about: "Attach to a running container",
    usage: "[OPTIONS] CONTAINER",
    flags: &[&[
        DETACH_KEYS,
        on("no-stdin", None, "Without standard input"),
        perhaps("sig-proxy", "BOOL", "true", "Hand signals on (true)"),
    ]],
    args: (1, 1),
    examples: &[("web", "ctrl-p ctrl-q leaves it running")],
    run: run!(run::attach),
    completes: Names::Containers,
    ..NONE
};

const TOP: Command = Command {
    name: "top",
    about: "Show the processes of a container",
    usage: "CONTAINER [ps OPTIONS]",
    args: (1, MANY),
    rest_after: 1,
    examples: &[("web", "its processes"), ("web -o pid,comm", "columns as ps takes them")],
    run: run!(containers::top),
    completes: Names::Containers,
    ..NONE
};

const STATS: Command = Command {
    name: "stats",
    about: "Show what containers use, live",
    usage: "[OPTIONS] [CONTAINER...]",
    flags: &[&[
        on("all", Some('a'), "Stopped ones too"),
        FORMAT,
        on("no-stream", None, "Once"),
        NO_TRUNC,
    ]],
    args: (0, MANY),
    examples: &[("", "all that run, live"), ("--no-stream web", "one, once")],
    run: run!(stats::stats),
    completes: Names::Containers,
    ..NONE
};

const INSPECT: Command = Command {
    name: "inspect",
    about: "Show everything known of an object",
    usage: "[OPTIONS] NAME|ID...",
    flags: &[&[
        one("format", Some('f'), "TEMPLATE", "`json` or a Go template"),
        on("size", Some('s'), "With sizes of containers"),
        one("type", None, "TYPE", "Only container, image, network or volume"),
    ]],
    args: (1, MANY),
    examples: &[
        ("web", "all of it"),
        ("-f '{{.State.Status}} {{.NetworkSettings.IPAddress}}' web", "parts of it"),
    ],
    run: run!(inspect::any),
    completes: Names::Containers,
    ..NONE
};

const INSPECT_ONE: Command = Command {
    flags: &[&[
        one("format", Some('f'), "TEMPLATE", "`json` or a Go template"),
        on("size", Some('s'), "With sizes of containers"),
    ]],
    ..INSPECT
};

const CP: Command = Command {
    name: "cp",
    about: "Copy files between a container and this machine",
    usage: "[OPTIONS] CONTAINER:SRC DEST|-  or  SRC|- CONTAINER:DEST",
    flags: &[&[
        on("archive", Some('a'), "With owners"),
        on("follow-link", Some('L'), "What links point to"),
        QUIET,
    ]],
    args: (2, 2),
    examples: &[
        ("web:/etc/hosts .", "out of it"),
        ("site web:/srv", "into it"),
        ("web:/srv - > srv.tar", "as a tar archive"),
    ],
    run: run!(copy::copy),
    completes: Names::Files,
    ..NONE
};

const DIFF: Command = Command {
    name: "diff",
    about: "Show what a container changed in its files",
    usage: "CONTAINER",
    args: (1, 1),
    examples: &[("web", "A added, C changed, D deleted")],
    run: run!(containers::diff),
    completes: Names::Containers,
    ..NONE
};

const PORT: Command = Command {
    name: "port",
    about: "Show a container's published ports",
    usage: "CONTAINER [PORT[/PROTOCOL]]",
    args: (1, 2),
    examples: &[("web", "all"), ("web 80/tcp", "where one is")],
    run: run!(containers::port),
    completes: Names::Containers,
    ..NONE
};

const UPDATE: Command = Command {
    name: "update",
    about: "Change limits of containers while they run",
    usage: "[OPTIONS] CONTAINER...",
    flags: &[options::LIMITS],
    args: (1, MANY),
    examples: &[("--memory 512m --cpus 1 web", "new limits at once")],
    run: run!(containers::update),
    completes: Names::Containers,
    ..NONE
};

const COMMIT: Command = Command {
    name: "commit",
    about: "Make an image of a container's changes",
    usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    flags: &[&[
        one("author", Some('a'), "NAME", "Who made it"),
        many("change", Some('c'), "INSTRUCTION", "A Dockerfile instruction to apply"),
        one("message", Some('m'), "TEXT", "Why"),
        perhaps("pause", "BOOL", "true", "Freeze it meanwhile (true)"),
    ]],
    args: (1, 2),
    examples: &[("-c 'CMD [\"serve\"]' web shop/web:2", "with another command")],
    run: run!(images::commit),
    completes: Names::Containers,
    ..NONE
};

const EXPORT: Command = Command {
    name: "export",
    about: "Write a container's files as a tar archive",
    usage: "[OPTIONS] CONTAINER",
    flags: &[&[one("output", Some('o'), "FILE", "Where to (standard output)")]],
    args: (1, 1),
    examples: &[("-o web.tar web", "into a file")],
    run: run!(transfer::export),
    completes: Names::Containers,
    ..NONE
};

const IMAGES: Command = Command {
    name: "images",
    about: "List images",
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    flags: &[&[
        on("all", Some('a'), "Intermediate ones too"),
        on("digests", None, "With digests"),
        FILTER,
        FORMAT,
        NO_TRUNC,
        QUIET,
    ]],
    args: (0, 1),
    examples: &[("", "all"), ("--filter dangling=true -q", "ids of those without a name")],
    run: run!(list::images),
    completes: Names::Images,
    ..NONE
};

const PULL: Command = Command {
    name: "pull",
    about: "Fetch an image from a registry",
    usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
    flags: &[&[
        on("all-tags", Some('a'), "Every tag"),
        one("platform", None, "OS/ARCH", "For which platform"),
        on("quiet", Some('q'), "Only the name"),
    ]],
    args: (1, 1),
    examples: &[("debian:12", "with progress")],
    run: run!(transfer::pull),
    completes: Names::Images,
    ..NONE
};

const PUSH: Command = Command {
    name: "push",
    about: "Send an image to a registry",
    usage: "[OPTIONS] NAME[:TAG]",
    flags: &[&[on("all-tags", Some('a'), "Every tag"), on("quiet", Some('q'), "Only the name")]],
    args: (1, 1),
    examples: &[("registry.example:5000/shop/web:2", "after `tag`")],
    run: run!(transfer::push),
    completes: Names::Images,
    ..NONE
};

const TAG: Command = Command {
    name: "tag",
    about: "Give an image another name",
    usage: "SOURCE[:TAG] TARGET[:TAG]",
    args: (2, 2),
    examples: &[("web:2 registry.example:5000/shop/web:2", "to push it there")],
    run: run!(images::tag),
    completes: Names::Images,
    ..NONE
};

const RMI: Command = Command {
    name: "rmi",
    about: "Remove images",
    usage: "[OPTIONS] IMAGE...",
    flags: &[&[
        on("force", Some('f'), "Even when several names or stopped containers use it"),
        on("no-prune", None, "Keep untagged parents"),
    ]],
    args: (1, MANY),
    examples: &[("web:1", "a name, and the image when it was the last")],
    run: run!(images::remove),
    completes: Names::Images,
    ..NONE
};

const HISTORY: Command = Command {
    name: "history",
    about: "Show how an image was made",
    usage: "[OPTIONS] IMAGE",
    flags: &[&[
        FORMAT,
        perhaps("human", "BOOL", "true", "Sizes and dates for people (true)"),
        NO_TRUNC,
        QUIET,
    ]],
    args: (1, 1),
    examples: &[("--no-trunc web:2", "its steps in full")],
    run: run!(images::history),
    completes: Names::Images,
    ..NONE
};

const SAVE: Command = Command {
    name: "save",
    about: "Write images as a tar archive",
    usage: "[OPTIONS] IMAGE...",
    flags: &[&[one("output", Some('o'), "FILE", "Where to (standard output)")]],
    args: (1, MANY),
    examples: &[("-o web.tar web:2", "for `load` elsewhere")],
    run: run!(transfer::save),
    completes: Names::Images,
    ..NONE
};

const LOAD: Command = Command {
    name: "load",
    about: "Read images from a tar archive",
    usage: "[OPTIONS]",
    flags: &[&[
        one("input", Some('i'), "FILE", "Where from (standard input)"),
        on("quiet", Some('q'), "Less"),
    ]],
    examples: &[("-i web.tar", "what `save` wrote")],
    run: run!(transfer::load),
    ..NONE
};

const IMPORT: Command = Command {
    name: "import",
    about: "Make an image of a root file system",
    usage: "[OPTIONS] FILE|URL|- [REPOSITORY[:TAG]]",
    flags: &[&[
        many("change", Some('c'), "INSTRUCTION", "A Dockerfile instruction to apply"),
        one("message", Some('m'), "TEXT", "Why"),
        one("platform", None, "OS/ARCH", "For which platform"),
    ]],
    args: (1, 2),
    examples: &[
        ("rootfs.tar base:1", "from a file"),
        ("- base:1 < rootfs.tar", "from standard input"),
    ],
    run: run!(transfer::import),
    completes: Names::Files,
    ..NONE
};

const BUILD: Command = Command {
    name: "build",
    about: "Build an image from a Dockerfile",
    usage: "[OPTIONS] PATH|URL|-",
    flags: &[build::FLAGS],
    args: (1, 1),
    examples: &[
        ("-t shop/web:2 .", "from the directory here"),
        (
            "-f docker/Dockerfile --build-arg VERSION=2 --target run -t web .",
            "a stage of another file",
        ),
        ("--check .", "look for mistakes without building"),
    ],
    run: run!(build::build),
    completes: Names::Files,
    ..NONE
};

const LOGIN: Command = Command {
    name: "login",
    about: "Log in to a registry",
    usage: "[OPTIONS] [SERVER]",
    flags: &[&[
        one("username", Some('u'), "NAME", "As whom"),
        one("password", Some('p'), "WORD", "Visible to others; better --password-stdin"),
        on("password-stdin", None, "Read the password from standard input"),
    ]],
    args: (0, 1),
    examples: &[("-u me registry.example:5000", "asks for the password")],
    run: run!(login::login),
    ..NONE
};

const LOGOUT: Command = Command {
    name: "logout",
    about: "Forget the login to a registry",
    usage: "[SERVER]",
    args: (0, 1),
    examples: &[("registry.example:5000", "and its password")],
    run: run!(login::logout),
    ..NONE
};

const EVENTS: Command = Command {
    name: "events",
    about: "Show what happens in the engine, live",
    usage: "[OPTIONS]",
    flags: &[&[
        FILTER,
        FORMAT,
        one("since", None, "TIME", "From then on"),
        one("until", None, "TIME", "Up to then"),
    ]],
    examples: &[("--filter type=container --since 10m", "of containers, with the past")],
    run: run!(events::events),
    ..NONE
};

const VERSION: Command = Command {
    name: "version",
    about: "Show the versions of client and engine",
    usage: "[OPTIONS]",
    flags: &[&[one("format", Some('f'), "TEMPLATE", "`json` or a Go template")]],
    examples: &[("--format '{{.Server.Version}}'", "the engine's alone")],
    run: run!(system::version),
    ..NONE
};

const INFO: Command = Command {
    name: "info",
    about: "Show the engine's state",
    usage: "[OPTIONS]",
    flags: &[&[one("format", Some('f'), "TEMPLATE", "`json` or a Go template")]],
    examples: &[("-f '{{.Driver}}'", "a part")],
    run: run!(system::info),
    ..NONE
};

/// Commands with names of their own.
pub const COMMANDS: &[Command] = &[
    RUN, EXEC, PS, BUILD, PULL, PUSH, IMAGES, LOGIN, LOGOUT, VERSION, INFO, ATTACH, COMMIT, CP,
    CREATE, DIFF, EVENTS, EXPORT, HISTORY, IMPORT, INSPECT, KILL, LOAD, LOGS, PAUSE, PORT, RENAME,
    RESTART, RM, RMI, SAVE, START, STATS, STOP, TAG, TOP, UNPAUSE, UPDATE, WAIT,
];

const PRUNE_FLAGS: &[Flag] = &[FORCE, many("filter", None, "KEY=VALUE", "Only what matches")];

/// Groups of commands.
pub const GROUPS: &[Command] = &[CONTAINER, IMAGE, NETWORK, VOLUME, SYSTEM, BUILDER];

const CONTAINER: Command = Command {
    name: "container",
    about: "Work with containers",
    subs: &[&[
        ATTACH,
        COMMIT,
        CP,
        CREATE,
        DIFF,
        EXEC,
        EXPORT,
        Command { run: run!(inspect::container), ..INSPECT_ONE },
        KILL,
        LOGS,
        LS,
        PAUSE,
        PORT,
        Command {
            name: "prune",
            about: "Remove all stopped containers",
            flags: &[PRUNE_FLAGS],
            examples: &[("-f", "without asking")],
            run: run!(system::prune_containers),
            ..NONE
        },
        RENAME,
        RESTART,
        RM,
        RUN,
        START,
        STATS,
        STOP,
        TOP,
        UNPAUSE,
        UPDATE,
        WAIT,
    ]],
    ..NONE
};

const IMAGE: Command = Command {
    name: "image",
    about: "Work with images",
    subs: &[&[
        BUILD,
        HISTORY,
        IMPORT,
        Command { run: run!(inspect::image), ..INSPECT_ONE },
        LOAD,
        Command { name: "ls", aliases: &["list"], ..IMAGES },
        Command {
            name: "prune",
            about: "Remove images nobody needs",
            flags: &[
                &[on("all", Some('a'), "All without a container, not only nameless ones")],
                PRUNE_FLAGS,
            ],
            examples: &[("-af", "all that no container uses")],
            run: run!(system::prune_images),
            ..NONE
        },
        PULL,
        PUSH,
        Command { name: "rm", aliases: &["remove"], ..RMI },
        SAVE,
        TAG,
    ]],
    ..NONE
};

const NETWORK: Command = Command {
    name: "network",
    about: "Work with networks",
    subs: &[&[
        Command {
            name: "connect",
            about: "Connect a container to a network",
            usage: "[OPTIONS] NETWORK CONTAINER",
            flags: &[&[
                many("alias", None, "NAME", "Another name there"),
                many("driver-opt", None, "KEY=VALUE", "An option of the driver"),
                one("ip", None, "IP", "Its address"),
                one("ip6", None, "IP", "Its IPv6 address"),
                many("link", None, "NAME", "A link to another container"),
            ]],
            args: (2, 2),
            examples: &[("--alias db shop db-1", "while it runs")],
            run: run!(network::connect),
            completes: Names::Networks,
            ..NONE
        },
        Command {
            name: "create",
            about: "Create a network",
            usage: "[OPTIONS] NETWORK",
            flags: &[network::CREATE_FLAGS],
            args: (1, 1),
            examples: &[("--subnet 10.9.0.0/24 shop", "with a subnet of your own")],
            run: run!(network::create),
            ..NONE
        },
        Command {
            name: "disconnect",
            about: "Disconnect a container from a network",
            usage: "[OPTIONS] NETWORK CONTAINER",
            flags: &[&[FORCE]],
            args: (2, 2),
            examples: &[("shop db-1", "while it runs")],
            run: run!(network::disconnect),
            completes: Names::Networks,
            ..NONE
        },
        Command { completes: Names::Networks, run: run!(inspect::network), ..INSPECT_ONE },
        Command {
            name: "ls",
            aliases: &["list"],
            about: "List networks",
            flags: &[&[FILTER, FORMAT, NO_TRUNC, QUIET]],
            examples: &[("--filter driver=bridge", "some of them")],
            run: run!(list::networks),
            ..NONE
        },
        Command {
            name: "prune",
            about: "Remove networks without containers",
            flags: &[PRUNE_FLAGS],
            examples: &[("-f", "without asking")],
            run: run!(system::prune_networks),
            ..NONE
        },
        Command {
            name: "rm",
            aliases: &["remove"],
            about: "Remove networks",
            usage: "NETWORK...",
            flags: &[&[on("force", Some('f'), "Missing ones are no error")]],
            args: (1, MANY),
            examples: &[("shop", "when no container uses it")],
            run: run!(network::remove),
            completes: Names::Networks,
            ..NONE
        },
    ]],
    ..NONE
};

const VOLUME: Command = Command {
    name: "volume",
    about: "Work with volumes",
    subs: &[&[
        Command {
            name: "create",
            about: "Create a volume",
            usage: "[OPTIONS] [VOLUME]",
            flags: &[&[
                one("driver", Some('d'), "NAME", "Which driver (local)"),
                many("label", None, "KEY=VALUE", "A label"),
                many("opt", Some('o'), "KEY=VALUE", "An option of the driver"),
            ]],
            args: (0, 1),
            examples: &[("data", "then `run -v data:/data`")],
            run: run!(volume::create),
            ..NONE
        },
        Command { completes: Names::Volumes, run: run!(inspect::volume), ..INSPECT_ONE },
        Command {
            name: "ls",
            aliases: &["list"],
            about: "List volumes",
            flags: &[&[FILTER, FORMAT, QUIET]],
            examples: &[("-f dangling=true", "those no container uses")],
            run: run!(list::volumes),
            ..NONE
        },
        Command {
            name: "prune",
            about: "Remove volumes no container uses",
            flags: &[&[on("all", Some('a'), "Named ones too")], PRUNE_FLAGS],
            examples: &[("-af", "all of them, without asking")],
            run: run!(system::prune_volumes),
            ..NONE
        },
        Command {
            name: "rm",
            aliases: &["remove"],
            about: "Remove volumes",
            usage: "VOLUME...",
            flags: &[&[on("force", Some('f'), "Missing ones are no error")]],
            args: (1, MANY),
            examples: &[("data", "with all that is in it")],
            run: run!(volume::remove),
            completes: Names::Volumes,
            ..NONE
        },
    ]],
    ..NONE
};

const SYSTEM: Command = Command {
    name: "system",
    about: "Look at the engine and clean up",
    subs: &[&[
        Command {
            name: "df",
            about: "Show what takes space on disk",
            flags: &[&[FORMAT, on("verbose", Some('v'), "Item by item")]],
            examples: &[("-v", "item by item")],
            run: run!(system::df),
            ..NONE
        },
        EVENTS,
        INFO,
        Command {
            name: "prune",
            about: "Remove everything nobody needs",
            flags: &[
                &[
                    on("all", Some('a'), "All images without a container, not only nameless ones"),
                    on("volumes", None, "Anonymous volumes too"),
                ],
                PRUNE_FLAGS,
            ],
            examples: &[("-af --volumes", "as much as can be")],
            run: run!(system::prune),
            ..NONE
        },
    ]],
    ..NONE
};

const BUILDER: Command = Command {
    name: "builder",
    about: "Work with the build cache",
    subs: &[&[
        BUILD,
        Command {
            name: "prune",
            about: "Remove the build cache",
            flags: &[
                &[
                    on("all", Some('a'), "What is in use by images too"),
                    one("keep-storage", None, "BYTES", "Leave this much"),
                ],
                PRUNE_FLAGS,
            ],
            examples: &[("-af", "all of it")],
            run: run!(system::prune_builds),
            ..NONE
        },
    ]],
    ..NONE
};
