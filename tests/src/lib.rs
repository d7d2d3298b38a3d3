//! What system tests are made of: servers under test, the servers they need, applicants, clients and linters.
//!
//! A test starts what it needs on ports of its own and in a directory of its own; dropping a handle ends what it
//! started. Whatever a process logged is printed at its end, where the test runner shows it only when the test failed.

mod account_key;
mod certificate;
mod certmill;
mod challenge_server;
mod cluster;
mod collector;
mod copy;
mod dns_server;
mod eventually;
mod external_key;
mod issuance;
mod library_client;
mod linters;
mod nats;
mod ocsp;
mod openssl;
mod pebble;
mod ports;
mod process;
mod proxy;
mod raw_client;
mod redis;
mod registered_key;
mod reply;
mod runbook;
mod scene;
mod secrets;
mod site;
mod tls;
mod token;
mod tools;
mod zones;

pub use account_key::AccountKey;
pub use certificate::{CertificateKey, Chain, csr, csr_from, revoked};
pub use certmill::{Certmill, Setup};
pub use challenge_server::ChallengeServer;
pub use cluster::Cluster;
pub use collector::{Collector, SentSpan};
pub use copy::copy_directory;
pub use dns_server::DnsServer;
pub use eventually::{eventually, until};
pub use external_key::{ExternalKey, OperatorKey};
pub use issuance::{Issued, Order};
pub use library_client::LibraryClient;
pub use linters::{lint, lint_crl, lint_ocsp_response, lint_pkix};
pub use nats::Nats;
pub use ocsp::OcspQuestion;
pub use openssl::{presented, verify, verify_with_crl};
pub use pebble::Pebble;
pub use ports::free_port;
pub use process::{Output, Process, run};
pub use proxy::RoundRobinProxy;
pub use raw_client::RawClient;
pub use redis::RedisServer;
pub use registered_key::RegisteredKey;
pub use reply::Reply;
pub use runbook::{Surroundings, documented};
pub use scene::{Refused, Scene};
pub use secrets::Secrets;
pub use site::Site;
pub use token::{Token, TokenServer};
pub use tools::{is_nightly, python, python_tool, server_under_test, tool, workspace};
pub use zones::Zones;
