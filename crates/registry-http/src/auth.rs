//! Who may do what: nobody is asked, or accounts, with basic authentication or with tokens.
//!
//! The token server (`GET /token`) is part of the registry. Upstream: distribution
//! `docs/content/spec/auth/token.md`; htpasswd lines as distribution's `registry/auth/htpasswd`
//! takes them (bcrypt only).

use crate::answer::{self, Answer, Oops};
use crate::route::Call;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, Request, StatusCode, header};
use ring::hmac;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    Reader,
    Writer,
}

/// Access rules.
#[derive(Debug, Default)]
pub enum Access {
    /// Everybody may read and write: for loopback and private networks.
    #[default]
    Open,
    /// Name and password with every request.
    Basic(Accounts),
    /// Name and password for a token, the token with every request.
    Token(Accounts, Signer),
}

/// The accounts of a registry.
#[derive(Debug, Default)]
pub struct Accounts {
    /// Name, password or its bcrypt hash, rights.
    rows: Vec<(String, String, Account)>,
    /// Digests of pairs that were found right: bcrypt is slow on purpose.
    right: Mutex<Vec<[u8; 32]>>,
}

/// Pairs that are remembered.
const REMEMBERED: usize = 1024;

impl Accounts {
    /// Name, password (plain, or a bcrypt hash), rights.
    pub fn new(rows: Vec<(String, String, Account)>) -> Self {
        Self { rows, right: Mutex::default() }
    }

    /// Lines `name:bcrypt-hash` as `htpasswd -B` writes them; everybody listed may write.
    pub fn htpasswd(text: &str) -> Result<Self, String> {
        let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
        let mut rows = Vec::new();
        for (number, line) in lines.filter(|(_, l)| !l.is_empty() && !l.starts_with('#')) {
            let bad = |why: &str| format!("htpasswd, line {number}: {why}");
            let (name, hash) = line.split_once(':').ok_or_else(|| bad("no `:`"))?;
            if !is_hash(hash) {
                return Err(bad("only bcrypt hashes are taken (`htpasswd -B`)"));
            }
            rows.push((name.to_owned(), hash.to_owned(), Account::Writer));
        }
        Ok(Self::new(rows))
    }

    fn rights(&self, headers: &HeaderMap) -> Option<(String, Account)> {
        let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (name, password) = decode(given)?;
        // All are compared, so that timing does not tell which names there are.
        let found = self.rows.iter().fold(None, |found, (n, p, rights)| {
            let same = equal(n, &name) && self.fits(&name, p, &password);
            if same { Some(*rights) } else { found }
        });
        found.map(|rights| (name, rights))
    }

    fn fits(&self, name: &str, wanted: &str, given: &str) -> bool {
        if !is_hash(wanted) {
            return equal(wanted, given);
        }
        let text = format!("{name}\0{wanted}\0{given}");
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(digest.as_ref());
        if self.right.lock().expect("no panic while held").contains(&key) {
            return true;
        }
        let fits = bcrypt::verify(given, wanted).unwrap_or(false);
        let mut right = self.right.lock().expect("no panic while held");
        if fits && right.len() < REMEMBERED {
            right.push(key);
        }
        fits
    }
}

fn is_hash(text: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"].iter().any(|start| text.starts_with(start))
}

/// Signs tokens with a key that lives as long as the process.
#[derive(Debug)]
pub struct Signer(hmac::Key);

/// What tokens are for; their `service`.
const SERVICE: &str = "boxship";
/// Seconds a token is good for.
const VALID: u64 = 300;

impl Signer {
    /// With a fresh key. Fails when the machine has no random numbers.
    pub fn fresh() -> Result<Self, String> {
        let random = ring::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random);
        key.map(Self).map_err(|_| "no random numbers".to_owned())
    }

    fn sign(&self, claims: &Value) -> String {
        let body = URL_SAFE_NO_PAD.encode(claims.to_string());
        let tag = hmac::sign(&self.0, body.as_bytes());
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// The claims of a token of ours that is still good.
    fn open(&self, token: &str) -> Option<Value> {
        let (body, tag) = token.split_once('.')?;
        hmac::verify(&self.0, body.as_bytes(), &URL_SAFE_NO_PAD.decode(tag).ok()?).ok()?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        (claims["exp"].as_u64()? > now()).then_some(claims)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

impl Access {
    /// `accounts` behind a token server of our own.
    pub fn token(accounts: Accounts) -> Result<Self, String> {
        Ok(Self::Token(accounts, Signer::fresh()?))
    }

    pub(crate) fn check(&self, call: &Call, headers: &HeaderMap) -> Result<(), Oops> {
        match self {
            Self::Open => Ok(()),
            Self::Basic(accounts) => match accounts.rights(headers) {
                None => Err(unauthorized("Basic realm=\"boxship\"".into())),
                Some((_, Account::Reader)) if call.writes() => Err(denied()),
                Some(_) => Ok(()),
            },
            Self::Token(_, signer) => {
                let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
                let token = given.and_then(|v| v.strip_prefix("Bearer "));
                match token.and_then(|t| signer.open(t)) {
                    Some(claims) if allows(&claims, call) => Ok(()),
                    _ => Err(unauthorized(challenge(call, headers))),
                }
            }
        }
    }

    /// Answers requests to the token server; `None` when this is none.
    pub(crate) fn issue<B>(&self, request: &Request<B>) -> Option<Result<Answer, Oops>> {
        let Self::Token(accounts, signer) = self else { return None };
        if request.uri().path() != "/token" {
            return None;
        }
        if request.method() != http::Method::GET {
            let text = "only name and password are taken here, no refresh tokens";
            return Some(Err(Oops::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", text)));
        }
        // Nobody in particular gets a token that is good for nothing: so clients learn what is
        // missing from the registry itself.
        let named = request.headers().contains_key(header::AUTHORIZATION);
        let account = accounts.rights(request.headers());
        if named && account.is_none() {
            return Some(Err(unauthorized("Basic realm=\"boxship\"".into())));
        }
        let query = crate::route::parse_query(request.uri().query().unwrap_or_default());
        let scopes = query.iter().filter(|(key, _)| key == "scope");
        let wanted = scopes.flat_map(|(_, text)| text.split(' ')).filter_map(scope);
        let claims = match account {
            None => json!({ "sub": "", "exp": now() + VALID }),
            Some((name, rights)) => {
                let granted = wanted.map(|(path, actions)| grant(path, actions, rights));
                let granted: Vec<Value> = granted.collect();
                json!({ "sub": name, "exp": now() + VALID, "access": granted })
            }
        };
        let token = signer.sign(&claims);
        let body = json!({ "token": token, "access_token": token, "expires_in": VALID });
        Some(Ok(answer::json(StatusCode::OK, &body)))
    }
}

/// `repository:a/b:pull,push`; names may hold colons (ports).
fn scope(text: &str) -> Option<(&str, &str)> {
    let (front, actions) = text.rsplit_once(':')?;
    Some((front.split_once(':')?.1, actions))
}

fn grant(path: &str, actions: &str, rights: Account) -> Value {
    let writer = rights == Account::Writer;
    let allowed = |a: &&str| *a == "pull" || writer && matches!(*a, "push" | "delete" | "*");
    let actions: Vec<&str> = actions.split(',').filter(allowed).collect();
    json!({ "name": path, "actions": actions })
}

fn action(call: &Call) -> &'static str {
    match call.method {
        http::Method::DELETE => "delete",
        _ if call.writes() => "push",
        _ => "pull",
    }
}

/// `/v2/` and the catalogue need anybody's token, everything else one for the repository.
fn allows(claims: &Value, call: &Call) -> bool {
    let rows = claims["access"].as_array().into_iter().flatten();
    let of_name = |row: &&Value| row["name"] == call.name.as_str();
    let has = |row: &Value| {
        let actions = row["actions"].as_array().into_iter().flatten();
        actions.filter_map(Value::as_str).any(|a| a == action(call) || a == "*")
    };
    let somebody = claims["sub"].as_str().is_some_and(|name| !name.is_empty());
    call.name.is_empty() && somebody || rows.filter(of_name).any(has)
}

fn challenge(call: &Call, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or("localhost");
    let realm = format!("Bearer realm=\"http://{host}/token\",service=\"{SERVICE}\"");
    match (call.name.as_str(), action(call)) {
        ("", _) => realm,
        (name, "pull") => format!("{realm},scope=\"repository:{name}:pull\""),
        (name, action) => format!("{realm},scope=\"repository:{name}:pull,{action}\""),
    }
}

fn unauthorized(challenge: String) -> Oops {
    let status = StatusCode::UNAUTHORIZED;
    let mut oops = Oops::new(status, "UNAUTHORIZED", "authentication required");
    oops.challenge = Some(challenge);
    oops
}

fn denied() -> Oops {
    let text = "requested access to the resource is denied";
    Oops::new(StatusCode::FORBIDDEN, "DENIED", text)
}

fn decode(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}

fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let differing = a.iter().zip(b).fold(0, |sum, (x, y)| sum | (x ^ y));
    a.len() == b.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_from_htpasswd() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let accounts = Accounts::htpasswd(&format!("# people\nann:{hash}\n")).unwrap();
        let asks = |pair: &str| {
            let mut headers = HeaderMap::new();
            let value = format!("Basic {}", STANDARD.encode(pair));
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            accounts.rights(&headers)
        };
        for _ in 0..2 {
            assert_eq!(asks("ann:secret"), Some(("ann".into(), Account::Writer)));
        }
        assert_eq!(asks("ann:wrong"), None);
        assert_eq!(asks("bob:secret"), None);
        let plain = Accounts::htpasswd("ann:secret").unwrap_err();
        assert_eq!(plain, "htpasswd, line 1: only bcrypt hashes are taken (`htpasswd -B`)");
    }

    #[test]
    fn tokens_are_ours_and_for_a_time() {
        let signer = Signer::fresh().unwrap();
        let good = signer.sign(&json!({ "exp": now() + 9, "access": [] }));
        assert!(signer.open(&good).is_some());
        assert!(signer.open(&signer.sign(&json!({ "exp": now() - 1 }))).is_none());
        assert!(Signer::fresh().unwrap().open(&good).is_none());
        for bad in ["", ".", "a.b", &good[1..], "e30.e30"] {
            assert!(signer.open(bad).is_none(), "{bad}");
        }
        assert_eq!(scope("repository:h:5000/a:pull,push"), Some(("h:5000/a", "pull,push")));
    }
}
