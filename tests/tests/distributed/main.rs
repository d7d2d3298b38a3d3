//! Several api nodes on one log: what one of them did, the others know.

#[cfg(test)]
mod crl;
#[cfg(test)]
mod external_accounts;
#[cfg(test)]
mod finalizing;
#[cfg(test)]
mod issuers;
#[cfg(test)]
mod key_change;
#[cfg(test)]
mod lost_log;
#[cfg(test)]
mod measuring;
#[cfg(test)]
mod nonces;
#[cfg(test)]
mod ocsp;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod pre_authorization;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod replicated;
#[cfg(test)]
mod telling;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod town;
#[cfg(test)]
mod traces;
