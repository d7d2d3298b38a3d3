//! CAA with DNS: the climb, what forbids, and what cannot be looked up.

use domain::{ChallengeType, Evidence, FailureKind};
use hickory_resolver::proto::{
    op::ResponseCode,
    rr::{Name, RData, RecordType, rdata::NS},
};
use validation::{CaaQuestion, ResolverChoice, Validator};

use crate::{
    dns_server::{Answer, Sections, Zone, issue, record},
    scene::{ACCOUNT, NAME, Scene, TXT_VALUE, failure},
    web_server::{Reply, WebServer},
};

const DEEP: &str = "www.dep.a.example";

/// A zone whose names all can be proven by dns-01.
fn zone() -> Zone {
    let owner = |name: &str| format!("_acme-challenge.{name}");
    Zone::default().txt(&owner(NAME), &[&[TXT_VALUE]]).txt(&owner(DEEP), &[&[TXT_VALUE]])
}

async fn scene(zone: Zone) -> Scene {
    let mut scene = Scene::new(zone).await;
    scene.settings.caa_identities = vec!["ca.example".to_owned()];
    scene
}

async fn permitted(zone: Zone, name: &str) -> Evidence {
    scene(zone).await.validate(ChallengeType::Dns01, name).await.unwrap()
}

async fn forbidden(zone: Zone, name: &str, expected: &str) {
    let rejected = scene(zone).await.validate(ChallengeType::Dns01, name).await.unwrap_err();
    let failure = rejected.failure.clone();
    assert_eq!(failure.kind, FailureKind::Caa, "{}", failure.detail);
    assert!(failure.detail.contains(expected), "{}", failure.detail);
    assert!(rejected.evidence.caa.is_some(), "no evidence");
}

#[tokio::test]
async fn a_name_without_caa_records_up_to_the_root_is_permitted() {
    let seen = permitted(zone(), DEEP).await.caa.unwrap();
    assert_eq!(seen.found_at, None);
    assert!(seen.records.is_empty());
}

#[tokio::test]
async fn the_records_of_the_closest_name_decide() {
    let zone = zone()
        .caa("a.example", &[(0, "issue", "ca.example"), (0, "iodef", "mailto:a@a.example")])
        .caa("example", &[(0, "issue", ";")]);
    let seen = permitted(zone, DEEP).await.caa.unwrap();
    assert_eq!(seen.found_at.as_deref(), Some("a.example"));
    let expected = ["0 issue \"ca.example\"", "0 iodef \"mailto:a@a.example\""];
    assert_eq!(seen.records, expected);
}

#[tokio::test]
async fn the_records_of_the_top_level_domain_count() {
    let zone = zone().caa("example", &[(0, "issue", "other.example")]);
    forbidden(zone, DEEP, "CAA records of example forbid issuance: none of them names").await;
}

#[tokio::test]
async fn a_record_of_another_name_in_the_answer_neither_permits_nor_forbids() {
    let answer = |own, other| {
        let others = vec![record("b.example", issue(other))];
        let answer = Answer::Mixed(Sections { own, others, ..Sections::default() });
        zone().answer(NAME, RecordType::CAA, answer)
    };
    forbidden(answer(vec![issue(";")], "ca.example"), NAME, "none of them names").await;
    let seen = permitted(answer(vec![issue("ca.example")], ";"), NAME).await.caa.unwrap();
    assert_eq!(seen.records, ["0 issue \"ca.example\""]);
    permitted(answer(vec![], ";"), NAME).await;
}

#[tokio::test]
async fn a_record_below_a_forbidding_one_permits() {
    let zone =
        zone().caa(DEEP, &[(0, "issue", "ca.example")]).caa("a.example", &[(0, "issue", ";")]);
    permitted(zone, DEEP).await;
}

#[tokio::test]
async fn records_behind_a_cname_count_and_its_target_is_not_climbed() {
    let zone = zone()
        .answer(NAME, RecordType::TXT, Answer::Code(ResponseCode::NoError))
        .cname("dep.a.example", "x.elsewhere.test.")
        .caa("x.elsewhere.test", &[(0, "issue", ";")]);
    forbidden(zone, DEEP, "dep.a.example").await;
    let climbed = self::zone()
        .cname("dep.a.example", "x.elsewhere.test.")
        .a("x.elsewhere.test", "192.0.2.1")
        .caa("elsewhere.test", &[(0, "issue", ";")]);
    permitted(climbed, DEEP).await;
}

#[tokio::test]
async fn cnames_that_are_not_followed_to_their_end_forbid() {
    let hop = |n: usize| format!("n{n}.elsewhere.test");
    let first = zone()
        .answer(NAME, RecordType::TXT, Answer::Code(ResponseCode::NoError))
        .cname("dep.a.example", &format!("{}.", hop(0)));
    let long = (0..12).fold(first, |zone, n| zone.cname(&hop(n), &format!("{}.", hop(n + 1))));
    let scene = scene(long.caa(&hop(12), &[(0, "issue", ";")])).await;
    let failure = failure(scene.validate(ChallengeType::Dns01, DEEP).await);
    assert_eq!(failure.kind, FailureKind::Dns);
    assert!(failure.detail.contains("too many CNAMEs"), "{}", failure.detail);
}

#[tokio::test]
async fn records_behind_a_cname_below_localhost_count_where_a_resolver_is_set() {
    let zone = Zone::default()
        .txt("_acme-challenge.a.localhost", &[&[TXT_VALUE]])
        .cname("a.localhost", "x.elsewhere.test.")
        .caa("x.elsewhere.test", &[(0, "issue", ";")]);
    forbidden(zone, "a.localhost", "a.localhost").await;
}

#[tokio::test]
async fn a_wildcard_is_judged_by_issuewild_at_its_base() {
    let zone = || zone().caa(NAME, &[(0, "issue", "ca.example"), (0, "issuewild", ";")]);
    permitted(zone(), NAME).await;
    forbidden(zone(), "*.a.example", "none of them names this CA").await;
}

#[tokio::test]
async fn an_unknown_critical_property_forbids() {
    let zone = zone().caa(NAME, &[(0, "issue", "ca.example"), (128, "future", "x")]);
    forbidden(zone, NAME, "critical property").await;
}

#[tokio::test]
async fn an_empty_issuer_forbids() {
    forbidden(zone().caa(NAME, &[(0, "issue", ";")]), NAME, "none of them names this CA").await;
}

#[tokio::test]
async fn the_account_and_the_method_of_the_records_must_be_ours() {
    let value = format!("ca.example; accounturi={ACCOUNT}; validationmethods=dns-01");
    permitted(zone().caa(NAME, &[(0, "issue", &value)]), NAME).await;
    let other = format!("ca.example; accounturi={ACCOUNT}2");
    forbidden(zone().caa(NAME, &[(0, "issue", &other)]), NAME, "another account").await;
    let method = "ca.example; validationmethods=http-01";
    forbidden(zone().caa(NAME, &[(0, "issue", method)]), NAME, "another validation").await;
}

#[tokio::test]
async fn what_cannot_be_looked_up_forbids_at_every_level() {
    for name in [DEEP, "dep.a.example", "a.example", "example"] {
        for (answer, text) in [
            (Answer::Code(ResponseCode::ServFail), "SERVFAIL"),
            (Answer::Code(ResponseCode::Refused), "REFUSED"),
            (Answer::Silence, "no answer came in time"),
        ] {
            let zone = zone().answer(name, RecordType::CAA, answer);
            let failure = failure(scene(zone).await.validate(ChallengeType::Dns01, DEEP).await);
            assert_eq!(failure.kind, FailureKind::Dns);
            let expected = format!("CAA records for {name} failed");
            assert!(failure.detail.contains(&expected), "{}", failure.detail);
            assert!(failure.detail.contains(text), "{}", failure.detail);
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_neither_records_nor_a_denial_forbids() {
    let server = RData::NS(NS(Name::from_ascii("ns.a.example.").unwrap()));
    let authorities = vec![record("a.example", server)];
    let referral = Answer::Mixed(Sections { authorities, ..Sections::default() });
    for (answer, text) in [
        (referral, "refers to other servers"),
        (Answer::Code(ResponseCode::Unknown(12)), "could not be understood"),
    ] {
        for name in [DEEP, "a.example"] {
            let zone = zone().answer(name, RecordType::CAA, answer.clone());
            let failure = failure(scene(zone).await.validate(ChallengeType::Dns01, DEEP).await);
            assert_eq!(failure.kind, FailureKind::Dns);
            assert!(failure.detail.contains(text), "{}", failure.detail);
        }
    }
}

#[tokio::test]
async fn more_records_than_are_looked_at_forbid() {
    let records = vec![(0, "issue", "ca.example"); 65];
    // Equal records are one: each has flags of its own, and all of them are ours.
    let records: Vec<(u8, &str, &str)> =
        records.iter().zip(0..).map(|((_, tag, value), flags)| (flags, *tag, *value)).collect();
    let failed =
        failure(scene(zone().caa(NAME, &records)).await.validate(ChallengeType::Dns01, NAME).await);
    assert!(failed.detail.contains("too many"), "{}", failed.detail);
    permitted(zone().caa(NAME, &records[..64]), NAME).await;
}

#[tokio::test]
async fn without_identities_caa_is_not_looked_at() {
    let zone = zone().caa(NAME, &[(0, "issue", ";")]);
    let evidence = Scene::new(zone).await.dns01().await.unwrap();
    assert_eq!(evidence.caa, None);
}

#[tokio::test]
async fn http01_is_followed_by_caa_as_well() {
    let web = WebServer::start(|_| Reply::body(crate::scene::KEY_AUTHORIZATION)).await;
    let zone = Zone::default().a(NAME, "127.0.0.1").caa(NAME, &[(0, "issue", ";")]);
    let rejected = scene(zone).await.port(web.port).http01().await.unwrap_err();
    assert_eq!(rejected.failure.kind, FailureKind::Caa);
    assert_eq!(rejected.evidence.hops.len(), 1);
}

#[tokio::test]
async fn a_challenge_that_is_not_fulfilled_is_not_followed_by_caa() {
    let rejected = scene(Zone::default()).await.dns01().await.unwrap_err();
    assert_eq!(rejected.evidence.caa, None);
}

#[tokio::test]
async fn caa_is_checked_again_by_itself() {
    let scene = scene(zone().caa(NAME, &[(0, "issue", "ca.example")])).await;
    let validator = Validator::new(scene.settings.clone()).unwrap();
    let name = NAME.parse().unwrap();
    let question = CaaQuestion {
        name: &name,
        wildcard: false,
        challenge: ChallengeType::Http01,
        account_url: ACCOUNT,
    };
    let evidence = validator.check_caa(question).await.unwrap().unwrap();
    assert_eq!(evidence.caa.unwrap().found_at.as_deref(), Some(NAME));
    assert!(evidence.hops.is_empty() && evidence.records.is_empty());
}

#[tokio::test]
async fn names_of_the_development_machine_have_no_caa_records() {
    let web = WebServer::start(|_| Reply::body(crate::scene::KEY_AUTHORIZATION)).await;
    let mut scene = scene(Zone::default()).await.port(web.port);
    scene.settings.resolver = ResolverChoice::System;
    scene.settings.localhost_to_loopback = true;
    let evidence = scene.validate(ChallengeType::Http01, "h.localhost").await.unwrap();
    assert_eq!(evidence.caa.map(|caa| caa.found_at), Some(None));
}
