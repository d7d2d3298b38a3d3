//! The applicant: the ACME client, and what proves its control of names to the server's validator.

pub(crate) mod certificate;
mod client;
mod connection;
pub(crate) mod dns;
mod fence;
mod issuance;
mod key;
pub(crate) mod responder;
mod wire;

pub(crate) use self::{
    client::{Client, Counters},
    connection::{NoReply, Origin},
    fence::Fence,
    issuance::{Applicant, Issued},
};
