//! The rules of orders and pre-authorizations: given events, when a command, then events; and what no sequence of commands may reach.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod caa;
mod finalizing;
mod fixtures;
mod pre_authorizing;
mod properties;
mod proving;
mod retrying;
mod signing;
