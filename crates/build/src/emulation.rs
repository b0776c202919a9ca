//! Programs of another architecture: through QEMU when the kernel has it registered.

use std::path::Path;

use oci::Platform;

use crate::error::{BuildError, Result};

/// Where binfmt_misc lists its handlers.
const HANDLERS: &str = "/proc/sys/fs/binfmt_misc";

/// Whether RUN can execute programs of `platform` here; says what is missing.
pub fn check(platform: &Platform) -> Result<()> {
    check_with(platform, &Platform::host(), Path::new(HANDLERS))
}

fn check_with(platform: &Platform, host: &Platform, handlers: &Path) -> Result<()> {
    if platform.os != host.os {
        return Err(BuildError::new(format!("RUN for {platform} cannot work on {host}")));
    }
    if platform.architecture == host.architecture || platform.matches(host) {
        return Ok(());
    }
    let program = format!("qemu-{}", qemu_name(&platform.architecture));
    match handler(&program, handlers) {
        Some(text) if !text.starts_with("enabled") => Err(BuildError::new(format!(
            "RUN for {platform} needs emulation: the binfmt_misc handler for {program} is disabled"
        ))),
        Some(text) if !fixed(&text) => Err(BuildError::new(format!(
            "RUN for {platform} needs emulation: the binfmt_misc handler for {program} lacks the \
             flag F, so it cannot be reached from inside an image; register it again with F"
        ))),
        Some(_) => Ok(()),
        None => Err(BuildError::new(format!(
            "RUN for {platform} needs emulation on {host}: no binfmt_misc handler for {program} is \
             registered; install qemu-user-static (Debian: qemu-user-static and binfmt-support)"
        ))),
    }
}

/// QEMU's name of an architecture that Go names `arch`.
fn qemu_name(arch: &str) -> &str {
    match arch {
        "arm64" => "aarch64",
        "amd64" => "x86_64",
        "386" => "i386",
        "loong64" => "loongarch64",
        "mips64le" => "mips64el",
        "mipsle" => "mipsel",
        other => other,
    }
}

/// The text of the handler whose interpreter is `program`.
fn handler(program: &str, handlers: &Path) -> Option<String> {
    let entries = std::fs::read_dir(handlers).ok()?.flatten();
    let texts = entries.filter_map(|e| std::fs::read_to_string(e.path()).ok());
    let of = |text: &String| {
        let interpreter = text.lines().find_map(|l| l.strip_prefix("interpreter "));
        let name = interpreter.and_then(|i| i.rsplit('/').next()).unwrap_or_default();
        name == program || name.strip_suffix("-static") == Some(program)
    };
    texts.into_iter().find(of)
}

/// The kernel opened the interpreter when it was registered.
fn fixed(text: &str) -> bool {
    let flags = text.lines().find_map(|l| l.strip_prefix("flags:"));
    flags.is_some_and(|f| f.contains('F'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_decide() {
        let dir = tempfile::tempdir().unwrap();
        let amd = Platform::parse("linux/amd64").unwrap();
        let arm = Platform::parse("linux/arm64").unwrap();
        let tried = |p: &Platform| check_with(p, &amd, dir.path()).map_err(|e| e.message);
        assert!(tried(&amd).is_ok());
        assert!(tried(&Platform::parse("linux/386").unwrap()).is_ok());
        assert!(tried(&arm).unwrap_err().contains("no binfmt_misc handler for qemu-aarch64"));
        let write = |text: &str| std::fs::write(dir.path().join("x"), text).unwrap();
        write("disabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\n");
        assert!(tried(&arm).unwrap_err().contains("disabled"));
        write("enabled\ninterpreter /usr/bin/qemu-aarch64\nflags: OC\n");
        assert!(tried(&arm).unwrap_err().contains("flag F"));
        write("enabled\ninterpreter /usr/libexec/qemu-binfmt/qemu-aarch64-static\nflags: OCF\n");
        assert!(tried(&arm).is_ok());
    }
}
