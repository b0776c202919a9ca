//! From what a client presents to who it is: the union of authenticators, in upstream's order.

use crate::bootstrap_token;
use crate::keys::TokenKeys;
use crate::service_account::{is_ours, service_account_identity};
use crate::static_token::StaticTokens;
use meta::{Identity, Problem, Reason, Time};
use store::View;

pub const ANONYMOUS: &str = "system:anonymous";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// What one request presents.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// From the connection's client certificate, already verified.
    pub certificate: Option<&'a Identity>,
    /// The `Authorization` header, or `Bearer` with the token of a WebSocket subprotocol.
    pub authorization: &'a str,
}

/// Wrong credentials; why, for the log (a client is told nothing).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unauthenticated(pub String);

/// Everything that vouches for clients.
#[derive(Default)]
pub struct Authenticator {
    pub static_tokens: StaticTokens,
    /// `--anonymous-auth`.
    pub refuse_anonymous: bool,
}

impl From<Unauthenticated> for Problem {
    fn from(_: Unauthenticated) -> Self {
        Self::new(Reason::Unauthorized, "Unauthorized")
    }
}

impl Authenticator {
    /// Who presents `credentials`; without any, the anonymous user.
    ///
    /// # Errors
    /// When there are credentials, and none of them holds.
    pub fn identify(
        &self,
        credentials: Credentials<'_>,
        keys: Option<&TokenKeys>,
        view: &View,
        now: Time,
    ) -> Result<Identity, Unauthenticated> {
        if let Some(who) = credentials.certificate {
            return Ok(authenticated(who.clone()));
        }
        if let Some(token) = bearer(credentials.authorization) {
            let audiences = keys.map_or(&[][..], |k| &k.audiences);
            return self.token(token, audiences, keys, view, now).map(|(who, _)| who);
        }
        if self.refuse_anonymous {
            return Err(Unauthenticated("no credentials".into()));
        }
        let groups = vec![UNAUTHENTICATED.into()];
        Ok(Identity { name: ANONYMOUS.into(), groups, ..Identity::default() })
    }

    /// Who a bearer token names, and for which of the `wanted` audiences.
    ///
    /// # Errors
    /// Why no authenticator accepts the token.
    pub fn token(
        &self,
        token: &str,
        wanted: &[String],
        keys: Option<&TokenKeys>,
        view: &View,
        now: Time,
    ) -> Result<(Identity, Vec<String>), Unauthenticated> {
        if let Some(who) = self.static_tokens.find(token) {
            return Ok((authenticated(who), wanted.to_vec()));
        }
        if let Some(keys) = keys.filter(|keys| is_ours(keys, token)) {
            return service_account_identity(keys, token, wanted, view, now)
                .map(|(who, shared)| (authenticated(who), shared))
                .map_err(|why| Unauthenticated(format!("[invalid bearer token, {why}]")));
        }
        bootstrap_token::identity_of(token, view, now)
            .map(|who| (authenticated(who), wanted.to_vec()))
            .ok_or_else(|| Unauthenticated("invalid bearer token".into()))
    }
}

/// The token of `Authorization: Bearer <token>`.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn authenticated(mut who: Identity) -> Identity {
    if who.name != ANONYMOUS && !who.is_in(AUTHENTICATED) && !who.is_in(UNAUTHENTICATED) {
        who.groups.push(AUTHENTICATED.into());
    }
    who
}
