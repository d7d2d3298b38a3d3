//! The form in which a cache outside the process keeps states: JSON with the number of its schema; another number is a miss.

mod account;
mod order;
mod pre_authorization;

use domain::{
    account::State as AccountState, order::State as OrderState,
    pre_authorization::State as PreAuthorizationState,
};
use serde::{Deserialize, Serialize};

/// The schema written today. Raise it whenever a view's fields change meaning: older views become misses and are
/// folded anew, and of two views of one sequence the higher schema stays.
pub const SCHEMA: u16 = 3;

#[derive(Serialize, Deserialize)]
struct Tagged<T> {
    schema: u16,
    view: T,
}

#[derive(Deserialize)]
struct Peek {
    schema: u16,
}

/// Puts an account into its cached form.
///
/// # Errors
/// When it cannot be expressed in JSON.
pub fn encode_account(state: &AccountState) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Tagged { schema: SCHEMA, view: account::CachedAccount::from(state) })
}

/// Reads an account from its cached form; `None`, a miss, when another release wrote it.
pub fn decode_account(bytes: &[u8]) -> Option<AccountState> {
    decode::<account::CachedAccount>(bytes).map(Into::into)
}

/// Puts an order into its cached form.
///
/// # Errors
/// When it cannot be expressed in JSON.
pub fn encode_order(state: &OrderState) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Tagged { schema: SCHEMA, view: order::CachedOrder::from(state) })
}

/// Reads an order from its cached form; `None`, a miss, when another release wrote it.
pub fn decode_order(bytes: &[u8]) -> Option<OrderState> {
    decode::<order::CachedOrder>(bytes).map(Into::into)
}

/// Puts a pre-authorization into its cached form.
///
/// # Errors
/// When it cannot be expressed in JSON.
pub fn encode_pre_authorization(
    state: &PreAuthorizationState,
) -> Result<Vec<u8>, serde_json::Error> {
    let view = pre_authorization::CachedPreAuthorization::from(state);
    serde_json::to_vec(&Tagged { schema: SCHEMA, view })
}

/// Reads a pre-authorization from its cached form; `None`, a miss, when another release wrote it.
pub fn decode_pre_authorization(bytes: &[u8]) -> Option<PreAuthorizationState> {
    decode::<pre_authorization::CachedPreAuthorization>(bytes).map(Into::into)
}

fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<T> {
    let peek: Peek = serde_json::from_slice(bytes).ok()?;
    if peek.schema != SCHEMA {
        return None;
    }
    serde_json::from_slice::<Tagged<T>>(bytes).ok().map(|tagged| tagged.view)
}
