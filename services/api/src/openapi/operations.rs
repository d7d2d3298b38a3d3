//! Every operation that the listener answers.

use acme::{
    account::{Account, AccountUpdate, NewAccount, OrderList},
    authorization::{
        Authorization, AuthorizationUpdate, Challenge, ChallengeResponse, NewAuthorization,
    },
    directory::Directory,
    order::{Finalize, NewOrder, Order},
    revocation::Revoke,
};
use http::Method;
use schemars::{JsonSchema, SchemaGenerator};

use super::{
    headers::Header,
    operation::{Answer, Operation, Payload, SignedBy},
};

pub(super) fn all() -> Vec<Operation> {
    [directories(), accounts(), orders(), authorizations(), certificates(), for_relying_parties()]
        .into_iter()
        .flatten()
        .collect()
}

fn directories() -> Vec<Operation> {
    const WHAT: &str = "The directory.";
    let fetch =
        |path, id| post_as_get(path, id, "The same, signed").answers(seen::<Directory>(WHAT));
    let nonce = |status| Answer::empty(status, "A nonce.").with(Header::Nonce);
    let read =
        |path, id, summary| get(path, id, summary).answers(Answer::json::<Directory>(200, WHAT));
    vec![
        read("/acme/directory", "readDefaultDirectory", "The directory of the default profile")
            .queried("configurationId"),
        fetch("/acme/directory", "fetchDefaultDirectory").queried("configurationId"),
        read("/acme/{profile}/directory", "readDirectory", "The directory of a profile"),
        fetch("/acme/{profile}/directory", "fetchDirectory"),
        read(
            "/acme/raProfile/{profile}/directory",
            "readRaProfile",
            "The directory, as others spell it",
        ),
        fetch("/acme/raProfile/{profile}/directory", "fetchRaProfile"),
        Operation::new((Method::HEAD, "/acme/{profile}/new-nonce"), "newNonce", "Get a nonce")
            .answers(nonce(200)),
        get("/acme/{profile}/new-nonce", "readNonce", "Get a nonce").answers(nonce(204)),
        post_as_get("/acme/{profile}/new-nonce", "fetchNonce", "Get a nonce").answers(nonce(204)),
    ]
}

fn accounts() -> Vec<Operation> {
    vec![
        post(
            "/acme/{profile}/new-account",
            "newAccount",
            "Make an account, or find that of the key",
        )
        .signed(SignedBy::Key, object::<NewAccount>())
        .answers(made::<Account<'static>>("The account that was made."))
        .answers(seen::<Account<'static>>("The account that the key has.").with(Header::Location)),
        post(
            "/acme/{profile}/account/{account}",
            "account",
            "Read, change or deactivate an account",
        )
        .signed(SignedBy::Account, object_or_empty::<AccountUpdate>())
        .answers(seen::<Account<'static>>("The account.").with(Header::Location)),
        post_as_get(
            "/acme/{profile}/account/{account}/orders",
            "orders",
            "List an account's orders",
        )
        .queried("cursor")
        .answers(
            seen::<OrderList>("A page of the orders that are not invalid.").with(Header::Links),
        ),
        post("/acme/{profile}/key-change", "keyChange", "Change an account's key")
            .signed(SignedBy::Account, Payload::KeyChange)
            .answers(
                seen::<Account<'static>>("The account, which has the new key.")
                    .with(Header::Location),
            ),
    ]
}

fn orders() -> Vec<Operation> {
    vec![
        post("/acme/{profile}/new-order", "newOrder", "Place an order")
            .signed(SignedBy::Account, object::<NewOrder>())
            .answers(made::<Order<'static>>("The order.")),
        post_as_get("/acme/{profile}/order/{order}", "order", "Read an order")
            .answers(seen::<Order<'static>>("The order.").with(Header::RetryWhileOpen)),
        post(
            "/acme/{profile}/order/{order}/finalize",
            "finalize",
            "Ask for the certificate of an order",
        )
        .signed(SignedBy::Account, object::<Finalize>())
        .answers(
            seen::<Order<'static>>("The order.")
                .with(Header::Location)
                .with(Header::RetryWhileOpen),
        ),
    ]
}

fn authorizations() -> Vec<Operation> {
    let authorization = |path, id| {
        post(path, id, "Read an authorization, or give it up")
            .signed(SignedBy::Account, object_or_empty::<AuthorizationUpdate>())
            .answers(
                seen::<Authorization<'static>>("The authorization.").with(Header::RetryWhileOpen),
            )
    };
    let challenge = |path, id| {
        post(path, id, "Respond to a challenge, or read it")
            .signed(SignedBy::Account, object_or_empty::<ChallengeResponse>())
            .answers(
                seen::<Challenge<'static>>("The challenge.")
                    .with(Header::Up)
                    .with(Header::RetryWhileOpen),
            )
    };
    vec![
        post("/acme/{profile}/new-authz", "newAuthz", "Authorize an identifier before an order")
            .signed(SignedBy::Account, object::<NewAuthorization>())
            .answers(
                made::<Authorization<'static>>("The authorization.").with(Header::RetryWhileOpen),
            ),
        authorization("/acme/{profile}/authorization/{order}/{index}", "authorization"),
        authorization("/acme/{profile}/authorization/{preAuthorization}", "preAuthorization"),
        challenge("/acme/{profile}/challenge/{order}/{index}/{type}", "challenge"),
        challenge(
            "/acme/{profile}/challenge/{preAuthorization}/{type}",
            "preAuthorizationChallenge",
        ),
    ]
}

fn certificates() -> Vec<Operation> {
    let download = |path, id, summary| {
        let chain = Answer::empty(200, "The certificate in the form that Accept prefers.")
            .of_type("application/pem-certificate-chain")
            .of_type("application/pkix-cert")
            .of_type("application/pkcs7-mime; smime-type=certs-only")
            .with(Header::NextNonce)
            .with(Header::Links);
        post_as_get(path, id, summary).answers(chain)
    };
    vec![
        download(
            "/acme/{profile}/certificate/{certificate}",
            "certificate",
            "Download a certificate",
        ),
        download(
            "/acme/{profile}/certificate/{certificate}/{chain}",
            "alternateChain",
            "Download a certificate with another chain",
        ),
        post("/acme/{profile}/revoke-cert", "revokeCert", "Revoke a certificate")
            .signed(SignedBy::Either, object::<Revoke>())
            .answers(Answer::empty(200, "The certificate is revoked.").with(Header::NextNonce)),
    ]
}

/// What those ask who were shown a certificate.
fn for_relying_parties() -> Vec<Operation> {
    const OCSP_RESPONSE: &str = "application/ocsp-response";
    let answer = || Answer::empty(200, "The OCSPResponse in DER.").of_type(OCSP_RESPONSE);
    vec![
        get("/crl/{crl}.crl", "crl", "Download a CRL")
            .answers(Answer::empty(200, "The CRL in DER.").of_type("application/pkix-crl")),
        post("/ocsp/{issuer}", "askOcsp", "Ask for the status of a certificate")
            .takes("application/ocsp-request")
            .answers(answer()),
        get("/ocsp/{issuer}/{request}", "readOcsp", "Ask for the status of a certificate")
            .answers(answer())
            .answers(Answer::empty(304, "What the client has is still the answer.")),
    ]
}

fn get(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new((Method::GET, path), id, summary)
}

fn post(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new((Method::POST, path), id, summary)
}

fn post_as_get(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    post(path, id, summary).signed(SignedBy::Account, Payload::Empty)
}

fn object<T: JsonSchema>() -> Payload {
    Payload::Object(SchemaGenerator::subschema_for::<T>)
}

fn object_or_empty<T: JsonSchema>() -> Payload {
    Payload::ObjectOrEmpty(SchemaGenerator::subschema_for::<T>)
}

fn made<T: JsonSchema>(what: &'static str) -> Answer {
    Answer::json::<T>(201, what).with(Header::Location).with(Header::NextNonce)
}

fn seen<T: JsonSchema>(what: &'static str) -> Answer {
    Answer::json::<T>(200, what).with(Header::NextNonce)
}
