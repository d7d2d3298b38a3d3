//! Accounts, orders and certificates from their beginning to their end, on one server with the embedded log.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod authority;
#[cfg(test)]
mod chains;
#[cfg(test)]
mod challenges;
#[cfg(test)]
mod contents;
#[cfg(test)]
mod crl;
#[cfg(test)]
mod disabled;
#[cfg(test)]
mod ejbca_bindings;
#[cfg(test)]
mod external_accounts;
#[cfg(test)]
mod holding;
#[cfg(test)]
mod identifiers;
#[cfg(test)]
mod issuance;
#[cfg(test)]
mod issuers;
#[cfg(test)]
mod key_change;
#[cfg(test)]
mod linted;
#[cfg(test)]
mod nonces;
mod ocsp;
#[cfg(test)]
mod operation;
#[cfg(test)]
mod permitted;
#[cfg(test)]
mod pre_authorization;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod service_manager;
#[cfg(test)]
mod telling;
#[cfg(test)]
mod terms;
#[cfg(test)]
mod token;
#[cfg(test)]
mod token_hangs;
#[cfg(test)]
mod token_lost;
#[cfg(test)]
mod unreplaced;
#[cfg(test)]
mod zones;
