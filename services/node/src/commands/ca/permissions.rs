//! `certmill ca nats-permissions`: what each role may do at NATS and at Redis, and nothing else.

use std::fmt::Write as _;

use eventstore::Stream;
use runtime::{Config, Role};

use crate::{
    failure::Failure,
    output::Output,
    redis_rights::{self, RedisRights},
};

const NATS_INTRODUCTION: &str = r#"# What each role may do in the account that holds Certmill's streams, and nothing else: `certmill ca nats-permissions`
# prints it for a configuration, here with the order streams that event_log.order_shards asks for. Include it in the
# configuration of nats-server and give each user its permissions; how users authenticate is yours to decide:
#
#   include ./nats-permissions.conf
#   accounts {
#     CERTMILL {
#       jetstream: enabled
#       users: [
#         { user: "CN=certmill-api", permissions: $certmill_api }          # with tls { verify_and_map: true }
#         { user: "CN=certmill-validator", permissions: $certmill_validator }
#         { user: "CN=certmill-signer", permissions: $certmill_signer }
#         { user: "CN=certmill-projector", permissions: $certmill_projector }
#         { user: "CN=certmill-operator", permissions: $certmill_operator }
#       ]
#     }
#   }
#
# Each of the five is used, or the server takes it for an unknown field. Nobody may delete, purge or restore a stream.
# Streams are made by the signer, which starts first; only the operator may change one, which a longer order_validity
# needs: a command that writes does it with his credentials, such as `certmill rebuild`. Commands that only read, such as
# `certmill why`, publish to $JS.API.STREAM.INFO.* and $JS.API.STREAM.MSG.GET.* and hear _INBOX.>, and nothing else.
"#;

/// What everybody asks of the servers.
const NATS_COMMON: [&str; 4] =
    ["$JS.API.INFO", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*", "certmill.self-test.>"];
const WAKE: &str = "certmill.wake";
const CALLS: &str = "certmill.call.>";

/// One of those who use the log.
struct User {
    name: &'static str,
    /// The subjects it publishes to.
    publishes: &'static [&'static str],
    consumes: &'static [Consumer],
    /// The subjects it hears, beside the answers to its questions.
    hears: &'static [&'static str],
    answers: bool,
}

/// A consumer of streams.
enum Consumer {
    /// One that workers share, who acknowledge.
    Durable { name: &'static str, of: fn(u8) -> Vec<Stream> },
    /// One of its own.
    Follower,
}

const USERS: [User; 5] = [
    User {
        name: "api",
        publishes: &[
            "certmill.account.>",
            "certmill.administration.>",
            "certmill.order.>",
            "certmill.revocation.>",
            CALLS,
        ],
        consumes: &[],
        hears: &[WAKE],
        answers: false,
    },
    User {
        name: "validator",
        publishes: &["certmill.order.>", "certmill.administration.pre-authorization.>", WAKE],
        consumes: &[Consumer::Durable {
            name: "validator",
            of: |shards| {
                let mut streams = Stream::orders(shards);
                streams.push(Stream::Administration);
                streams
            },
        }],
        hears: &[WAKE],
        answers: false,
    },
    User {
        name: "signer",
        publishes: &[
            "$JS.API.STREAM.CREATE.*",
            "certmill.order.>",
            "certmill.ledger.>",
            "certmill.revocation.>",
            "certmill.administration.active-certificate.>",
            WAKE,
        ],
        consumes: &[
            Consumer::Durable { name: "signer", of: Stream::orders },
            Consumer::Durable { name: "crl", of: |_| vec![Stream::Revocations] },
        ],
        hears: &[WAKE, CALLS],
        answers: true,
    },
    User {
        name: "projector",
        publishes: &[],
        consumes: &[Consumer::Follower],
        hears: &[WAKE],
        answers: false,
    },
    User {
        name: "operator",
        publishes: &[
            "$JS.API.STREAM.CREATE.*",
            "$JS.API.STREAM.UPDATE.*",
            "certmill.account.>",
            "certmill.administration.>",
            "certmill.order.>",
            "certmill.revocation.>",
        ],
        consumes: &[Consumer::Follower],
        hears: &[WAKE],
        answers: false,
    },
];

/// Prints what nats-server includes.
pub(super) fn nats(config: &Config, out: &mut Output) -> Result<(), Failure> {
    let mut text = NATS_INTRODUCTION.to_owned();
    for user in &USERS {
        write_nats(&mut text, user, config.event_log.order_shards);
    }
    out.either(&text, text.trim_end())
}

/// Prints Redis's file of users.
pub(super) fn redis(out: &mut Output) -> Result<(), Failure> {
    let roles = Role::ALL.map(|role| (role.as_str(), RedisRights::of(role)));
    let mut text = "user default off\n".to_owned();
    for (name, rights) in roles.into_iter().chain([("operator", redis_rights::OPERATOR)]) {
        let (password, rules) = (format!("{}_PASSWORD", name.to_uppercase()), rights.rules());
        let _ = writeln!(text, "user certmill-{name} on >{password} {rules}");
    }
    out.either(&text, text.trim_end())
}

fn write_nats(text: &mut String, user: &User, order_shards: u8) {
    let mut publishes: Vec<String> = NATS_COMMON.map(str::to_owned).to_vec();
    for consumer in user.consumes {
        publishes.extend(consumer.subjects(order_shards));
    }
    publishes.extend(user.publishes.iter().map(|&subject| subject.to_owned()));
    let _ = write!(text, "\ncertmill_{} {{\n  publish: {{ allow: [\n", user.name);
    for subject in publishes {
        let _ = writeln!(text, "    {subject:?}");
    }
    let hears: String = user.hears.iter().map(|subject| format!(", {subject:?}")).collect();
    let _ = writeln!(text, "  ] }}\n  subscribe: {{ allow: [ \"_INBOX.>\"{hears} ] }}");
    if user.answers {
        text.push_str("  allow_responses: { max: 1, ttl: \"1m\" }\n");
    }
    text.push_str("}\n");
}

impl Consumer {
    /// The subjects by which it is made, asked and answered.
    fn subjects(&self, order_shards: u8) -> Vec<String> {
        match self {
            Self::Follower => {
                let subjects = |stream: Stream| {
                    [
                        format!("$JS.API.CONSUMER.CREATE.certmill-{stream}"),
                        format!("$JS.API.CONSUMER.MSG.NEXT.certmill-{stream}.*"),
                    ]
                };
                Stream::all(order_shards).into_iter().flat_map(subjects).collect()
            }
            Self::Durable { name, of } => {
                let subjects = |stream: Stream| {
                    [
                        format!("$JS.API.CONSUMER.CREATE.certmill-{stream}.{name}"),
                        format!("$JS.API.CONSUMER.MSG.NEXT.certmill-{stream}.{name}"),
                        format!("$JS.ACK.certmill-{stream}.{name}.>"),
                    ]
                };
                of(order_shards).into_iter().flat_map(subjects).collect()
            }
        }
    }
}
