//! Who may do what: nobody is asked, or accounts with basic authentication.

use crate::answer::Oops;
use crate::route::Call;
use base64::Engine as _;
use http::{HeaderMap, StatusCode, header};

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    Reader,
    Writer,
}

/// Access rules.
#[derive(Debug, Clone, Default)]
pub enum Access {
    /// Everybody may read and write: for loopback and private networks.
    #[default]
    Open,
    /// Name, password, rights.
    Basic(Vec<(String, String, Account)>),
}

impl Access {
    pub(crate) fn check(&self, call: &Call, headers: &HeaderMap) -> Result<(), Oops> {
        let Self::Basic(accounts) = self else { return Ok(()) };
        let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let pair = given.and_then(decode);
        let known = pair.and_then(|(name, password)| {
            // All are compared, each in constant time, so that timing tells nothing.
            accounts.iter().fold(None, |found, (n, p, rights)| {
                let same = equal(n, &name) & equal(p, &password);
                if same { Some(*rights) } else { found }
            })
        });
        match known {
            None => {
                let status = StatusCode::UNAUTHORIZED;
                let mut oops = Oops::new(status, "UNAUTHORIZED", "authentication required");
                oops.challenge = Some("Basic realm=\"boxship\"".into());
                Err(oops)
            }
            Some(Account::Reader) if call.writes() => {
                let text = "requested access to the resource is denied";
                Err(Oops::new(StatusCode::FORBIDDEN, "DENIED", text))
            }
            Some(_) => Ok(()),
        }
    }
}

fn decode(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}

fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let differing = a.iter().zip(b).fold(0, |sum, (x, y)| sum | (x ^ y));
    a.len() == b.len() && differing == 0
}
