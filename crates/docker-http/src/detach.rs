//! Detach keys: `ctrl-p,ctrl-q`, which leave a terminal without ending its process.

/// The bytes of a key sequence; `None` when it is not one (moby `pkg/.../term/ascii.go`).
pub fn parse(text: &str) -> Option<Vec<u8>> {
    text.split(',').map(key).collect()
}

fn key(name: &str) -> Option<u8> {
    if let [byte] = name.as_bytes() {
        return Some(*byte);
    }
    let control = name.to_ascii_lowercase();
    match control.strip_prefix("ctrl-")?.as_bytes() {
        [b'@'] => Some(0),
        [c @ b'a'..=b'z'] => Some(c - b'a' + 1),
        [b'['] => Some(27),
        [b'\\'] => Some(28),
        [b']'] => Some(29),
        [b'^'] => Some(30),
        [b'_'] => Some(31),
        _ => None,
    }
}

/// Finds the sequence in a stream of keystrokes.
pub struct Detector {
    keys: Vec<u8>,
    matched: usize,
}

/// What a piece of input comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// To the process, without the keys of a sequence that may still complete.
    Pass(Vec<u8>),
    /// The sequence is complete.
    Detach(Vec<u8>),
}

impl Detector {
    pub fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Input {
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.keys.get(self.matched) == Some(byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return Input::Detach(out);
                }
                continue;
            }
            out.extend_from_slice(&self.keys[..self.matched]);
            self.matched = 0;
            if self.keys.first() == Some(byte) {
                self.matched = 1;
            } else {
                out.push(*byte);
            }
        }
        Input::Pass(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences() {
        assert_eq!(parse("ctrl-p,ctrl-q"), Some(vec![16, 17]));
        assert_eq!(parse("a,ctrl-@"), Some(vec![b'a', 0]));
        assert_eq!(parse("ctrl-1"), None);
        let mut d = Detector::new(vec![16, 17]);
        assert_eq!(d.feed(b"ab\x10"), Input::Pass(b"ab".to_vec()));
        assert_eq!(d.feed(b"c\x10\x10"), Input::Pass(b"\x10c\x10".to_vec()));
        assert_eq!(d.feed(b"\x11d"), Input::Detach(Vec::new()));
    }
}
