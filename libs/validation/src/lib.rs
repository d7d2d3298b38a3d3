//! Proves control of identifiers: the only code that contacts applicants.
//!
//! Everything an applicant controls (names, addresses, redirects, bodies, DNS answers) is hostile here: addresses are
//! resolved once and pinned, every hop is checked against the [`NetworkPolicy`], bytes, time and redirects are bounded,
//! and nothing a foreign server sent is repeated in a [`domain::Failure`].

mod address;
mod caa;
mod dns01;
mod exhausted;
mod http01;
mod observed;
mod policy;
mod resolver;
mod settings;
mod tls_alpn01;
mod validator;

pub use caa::CaaQuestion;
pub use exhausted::Exhausted;
pub use policy::NetworkPolicy;
pub use resolver::{TrustAnchorError, check_trust_anchor};
pub use settings::{ResolverChoice, Settings, SettingsError};
pub use validator::{Attempt, Outcome, Rejected, Validator};
