//! The signer role in process over the embedded log: issuance, crashes at every step, CRLs, and a seeded simulation.

#[cfg(test)]
mod applicant;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod caa;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod crl;
#[cfg(test)]
mod crl_large;
#[cfg(test)]
mod crl_shards;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod interrupted;
#[cfg(test)]
mod issuance;
#[cfg(test)]
mod issuers;
#[cfg(test)]
mod ocsp;
#[cfg(test)]
mod position;
#[cfg(test)]
mod reliance;
#[cfg(test)]
mod restored;
#[cfg(test)]
mod server_certificate;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod two_signers;
#[cfg(test)]
mod workshop;
