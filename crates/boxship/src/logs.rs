//! `boxship logs`: the log of a detached daemon.

use crate::command::Row;
use crate::detach::log_path;
use crate::failure::Failure;
use crate::server::{data_dir, data_dir_arg};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

pub static ROW: Row = Row { command, run };

fn command() -> Command {
    Command::new("logs")
        .about("Show the log of the daemon (with a container's name: that container's)")
        .after_help("Examples:\n  boxship logs\n  boxship logs -f\n  boxship logs --lines 20")
        .args([
            data_dir_arg(),
            Arg::new("follow")
                .long("follow")
                .short('f')
                .action(ArgAction::SetTrue)
                .help("Go on with what is written from now on"),
            Arg::new("lines")
                .long("lines")
                .short('n')
                .value_name("N")
                .help("Only the last N lines")
                .value_parser(value_parser!(usize)),
        ])
}

const NO_LOG: &str = "only `boxship up --detach` writes one: in the foreground it goes to standard error, \
                      under systemd to `journalctl -u boxship`";

fn run(args: &ArgMatches) -> Result<ExitCode, Failure> {
    let path = log_path(data_dir(args));
    let what = || format!("read the log `{}`", path.display());
    let mut file = File::open(&path).map_err(|e| Failure::new(what(), e).hint(NO_LOG))?;
    let show = || -> std::io::Result<()> {
        // Watched before it is read, so nothing falls in between.
        let watch = Inotify::init(InitFlags::IN_CLOEXEC)?;
        watch.add_watch(&path, AddWatchFlags::IN_MODIFY)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let lines = args.get_one::<usize>("lines");
        print(lines.map_or(&text[..], |n| last_lines(&text, *n)))?;
        while args.get_flag("follow") {
            watch.read_events()?;
            // A log that was put aside and begun anew is read from its start.
            file = reopened(file, &path)?;
            text.clear();
            file.read_to_end(&mut text)?;
            print(&text)?;
        }
        Ok(())
    };
    match show() {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(what(), e)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn print(text: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    out.write_all(text)?;
    out.flush()
}

fn reopened(file: File, path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::MetadataExt;
    let same =
        std::fs::metadata(path).is_ok_and(|m| file.metadata().is_ok_and(|f| f.ino() == m.ino()));
    if same { Ok(file) } else { File::open(path) }
}

/// The end of `text`, from the beginning of its `count`th last line.
fn last_lines(text: &[u8], count: usize) -> &[u8] {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let breaks = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    match (count, breaks.map(|(at, _)| at).nth(count.saturating_sub(1))) {
        (0, _) => &[],
        (_, Some(at)) => &text[at + 1..],
        (_, None) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_last_lines() {
        let text = b"a\nb\nc\n";
        assert_eq!(last_lines(text, 0), b"");
        assert_eq!(last_lines(text, 1), b"c\n");
        assert_eq!(last_lines(text, 2), b"b\nc\n");
        assert_eq!(last_lines(text, 3), text);
        assert_eq!(last_lines(text, 9), text);
        assert_eq!(last_lines(b"", 2), b"");
    }
}
