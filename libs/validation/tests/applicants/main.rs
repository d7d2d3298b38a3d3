//! Validations against applicants of every kind: DNS and web servers of the tests' own, on loopback.

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod caa;
#[cfg(test)]
mod dns01;
#[cfg(test)]
mod dns_server;
#[cfg(test)]
mod dnssec;
#[cfg(test)]
mod exhausted;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http01;
#[cfg(test)]
mod random_dns;
#[cfg(test)]
mod redirects;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod silence;
#[cfg(test)]
mod tls_alpn01;
#[cfg(test)]
mod tls_server;
#[cfg(test)]
mod web_server;
