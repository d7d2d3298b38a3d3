//! What a client can do wrong: each kind is refused with the right type and status, leaves no event and hurts nobody.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod certificate_keys;
#[cfg(test)]
mod costs;
#[cfg(test)]
mod details;
#[cfg(test)]
mod ejbca_bindings;
#[cfg(test)]
mod external_accounts;
#[cfg(test)]
mod finalizing;
#[cfg(test)]
mod jws;
#[cfg(test)]
mod key_change;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod nonces;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod pre_authorizations;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod strangers;

#[cfg(test)]
const MALFORMED: acceptance::Refused = (400, "malformed");
