//! The terminal: raw mode, size, keys.

use bytes::Bytes;
use rustix::termios::{self, OptionalActions, Termios};
use std::io::{IsTerminal, Read};
use tokio::sync::mpsc;

/// Raw until dropped.
pub struct Raw(Option<Termios>);

impl Raw {
    /// Puts standard input into raw mode when it is a terminal.
    pub fn enter() -> Self {
        let stdin = std::io::stdin();
        let Ok(before) = termios::tcgetattr(&stdin) else { return Self(None) };
        let mut raw = before.clone();
        raw.make_raw();
        match termios::tcsetattr(&stdin, OptionalActions::Now, &raw) {
            Ok(()) => Self(Some(before)),
            Err(_) => Self(None),
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // The terminal may be gone; then nobody minds its mode.
            let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

pub fn stdin_is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// Columns and rows of the terminal on standard output.
pub fn size() -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// What is typed or piped in, until its end. The reading thread lives as long as the program.
pub fn stdin() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; 32 << 10];
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => {
                    if sender.blocking_send(Bytes::copy_from_slice(&buffer[..count])).is_err() {
                        return;
                    }
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    receiver
}

/// Asks for a word that is not shown, such as a password.
pub fn secret(prompt: &str) -> std::io::Result<String> {
    crate::out::write_err(prompt.as_bytes());
    let stdin = std::io::stdin();
    let before = termios::tcgetattr(&stdin).ok();
    if let Some(before) = &before {
        let mut silent = before.clone();
        silent.local_modes.remove(termios::LocalModes::ECHO);
        termios::tcsetattr(&stdin, OptionalActions::Now, &silent)?;
    }
    let mut word = String::new();
    let read = stdin.read_line(&mut word);
    if let Some(before) = &before {
        termios::tcsetattr(&stdin, OptionalActions::Now, before)?;
        crate::out::write_err(b"\n");
    }
    read.map(|_| word.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks for a word.
pub fn ask(prompt: &str) -> std::io::Result<String> {
    crate::out::write_err(prompt.as_bytes());
    let mut word = String::new();
    std::io::stdin().read_line(&mut word)?;
    Ok(word.trim().to_owned())
}

/// Whether the person says yes; nobody there means no.
pub fn agrees(question: &str) -> bool {
    ask(&format!("{question} [y/N] ")).is_ok_and(|word| matches!(word.as_str(), "y" | "Y" | "yes"))
}
