//! As much HTTP/1.1 as a model server needs: requests with a length, answers with a length, connections that are kept.

use std::io::{self, BufRead, Read, Write};

const LONGEST_LINE: u64 = 8 << 10;
const MOST_HEADERS: usize = 100;
const LONGEST_BODY: u64 = 1 << 20;

pub struct Request {
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    pub body: Vec<u8>,
    /// Whether the client wants to send more on this connection.
    pub keep: bool,
}

pub struct Reply {
    pub status: u16,
    pub body: String,
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.take(LONGEST_LINE).read_line(&mut line)?;
    match line.ends_with('\n') || line.is_empty() {
        true => Ok(line.trim_end().to_string()),
        false => Err(bad("a line that is too long or cut off")),
    }
}

/// The next request; nothing when the client has hung up between two.
pub fn read(from: &mut impl BufRead) -> io::Result<Option<Request>> {
    if from.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let first = line(from)?;
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return Err(bad("no request line"));
    };
    let mut keep = version == "HTTP/1.1";
    let mut length = 0;
    for count in 0.. {
        let header = line(from)?;
        if header.is_empty() {
            break;
        }
        if count == MOST_HEADERS {
            return Err(bad("too many headers"));
        }
        let (name, value) = header.split_once(':').ok_or_else(|| bad("a header without colon"))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(|_| bad("content-length"))?,
            "transfer-encoding" => return Err(bad("chunked bodies are not read")),
            "connection" => keep = !value.eq_ignore_ascii_case("close") && keep,
            _ => {}
        }
    }
    if length > LONGEST_BODY {
        return Err(bad("the body is too long"));
    }
    let mut body = Vec::new();
    if from.take(length).read_to_end(&mut body)? as u64 != length {
        return Err(bad("the body is cut off"));
    }
    Ok(Some(Request { method: method.into(), target: target.into(), body, keep }))
}

/// Writes an answer in one piece.
pub fn write(to: &mut impl Write, reply: &Reply, keep: bool) -> io::Result<()> {
    let reason = match reply.status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        _ => "Service Unavailable",
    };
    let (status, body, length) = (reply.status, &reply.body, reply.body.len());
    let connection = if keep { "keep-alive" } else { "close" };
    let text = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: {connection}\r\n\r\n{body}"
    );
    to.write_all(text.as_bytes())
}
