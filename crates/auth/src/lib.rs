//! Who a client is and what it may do.
//!
//! Pure: authenticators turn credentials into an [`Identity`](meta::Identity), the [`Authority`] answers
//! [`Access`] questions from a [`View`](store::View), reviews answer what a client asks about both.
//! No IO, no clock, no randomness: files, keys and the time come in as arguments. The one thing kept is a
//! memo of compiled RBAC rules, which may be dropped at any instant.

mod access;
mod authority;
mod bootstrap;
mod bootstrap_token;
mod certificate;
mod credentials;
mod escalation;
mod impersonate;
mod json;
mod jwt;
mod keys;
mod node;
mod rbac;
mod review;
mod service_account;
mod static_token;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod token_request;

pub use access::{Access, Decision, forbidden};
pub use authority::{Authority, MASTERS};
pub use bootstrap::{Wanted, aggregate, reconcile};
pub use certificate::identity_of_certificate;
pub use credentials::{ANONYMOUS, Authenticator, Credentials, Unauthenticated};
pub use escalation::may_grant;
pub use impersonate::{Impersonation, impersonate};
pub use keys::{KeyError, TokenKeys, VerifyKey};
pub use rbac::{Grant, Rbac, Rule};
pub use review::{rules_review, token_review, user_info};
pub use service_account::{Claims, service_account_identity};
pub use static_token::StaticTokens;
pub use token_request::{Bound, TokenPlan, mint, plan_token};
