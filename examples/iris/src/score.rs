//! Batch scoring: every row of the data through a running server, found by its name.

use crate::data::{self, Row, SPECIES};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Rows in one request.
const BATCH: usize = 25;

pub fn run(url: &str, data: &str) -> Result<(), String> {
    let (host, path) = address(url)?;
    let rows = data::read(data)?;
    let mut right = 0;
    for rows in rows.chunks(BATCH) {
        let answer = post(&host, &path, &request(rows)).map_err(|e| format!("{url}: {e}"))?;
        let said: Vec<&str> = answer.split("\"species\":\"").skip(1).collect();
        if said.len() != rows.len() {
            return Err(format!("{url} answered {answer:?}"));
        }
        let is_right = |(said, row): &(&&str, &Row)| said.starts_with(SPECIES[row.species]);
        right += said.iter().zip(rows).filter(is_right).count();
    }
    println!("{right} of {} rows right through {url}", rows.len());
    match right * 10 >= rows.len() * 9 {
        true => Ok(()),
        false => Err("fewer than nine of ten are right".into()),
    }
}

/// Host with port, and path.
fn address(url: &str) -> Result<(String, String), String> {
    let rest =
        url.strip_prefix("http://").ok_or_else(|| format!("{url} does not begin http://"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let port = if host.contains(':') { "" } else { ":80" };
    Ok((format!("{host}{port}"), format!("/{path}")))
}

fn request(rows: &[Row]) -> String {
    let rows: Vec<String> = rows.iter().map(|row| format!("{:?}", row.features)).collect();
    format!("{{\"rows\":[{}]}}", rows.join(","))
}

fn post(host: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200 ") {
        true => Ok(answer),
        false => Err(std::io::Error::other(answer)),
    }
}
