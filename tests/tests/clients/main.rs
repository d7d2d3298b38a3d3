//! Real clients, as their users run them, on both ways to store what the CA knows.

#[cfg(test)]
mod acme_sh;
#[cfg(test)]
mod acme_tiny;
#[cfg(test)]
mod apache;
#[cfg(test)]
mod caddy;
#[cfg(test)]
mod certbot;
#[cfg(test)]
mod dehydrated;
#[cfg(test)]
mod lego;
#[cfg(test)]
mod library;
#[cfg(test)]
mod outcome;
#[cfg(test)]
mod pasted;
