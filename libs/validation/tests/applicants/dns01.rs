//! dns-01: which records fulfil the challenge, and what an applicant is told when none does.

use domain::{ChallengeType, FailureKind};
use futures::future::join_all;
use hickory_resolver::proto::{op::ResponseCode, rr::RecordType};
use validation::Validator;

use crate::{
    dns_server::{Answer, Sections, Zone, record, txt},
    scene::{NAME, Scene, TXT_VALUE, attempt, failure, identifier},
};

const OWNER: &str = "_acme-challenge.a.example";
/// So many records do not fit into a UDP answer.
const TOO_MANY_FOR_UDP: usize = 60;

#[tokio::test]
async fn a_record_with_the_digest_is_accepted_with_evidence() {
    let scene = Scene::new(Zone::default().txt(OWNER, &[&[TXT_VALUE]])).await;
    let evidence = scene.dns01().await.unwrap();
    assert_eq!(evidence.records, [format!("{OWNER}. TXT {TXT_VALUE}")]);
    assert!(evidence.hops.is_empty());
}

#[tokio::test]
async fn a_resolver_that_is_set_is_asked_about_names_below_localhost_too() {
    let owner = "_acme-challenge.a.localhost";
    let zone = Zone::default().txt(owner, &[&[TXT_VALUE]]).a("a.localhost", "192.0.2.1");
    let scene = Scene::new(zone).await;
    let evidence = scene.validate(ChallengeType::Dns01, "a.localhost").await.unwrap();
    assert_eq!(evidence.records, [format!("{owner}. TXT {TXT_VALUE}")]);
    let failed = failure(scene.validate(ChallengeType::Dns01, "b.localhost").await);
    assert!(failed.detail.contains("NXDOMAIN"), "{}", failed.detail);
    let rejected = scene.validate(ChallengeType::Http01, "a.localhost").await.unwrap_err();
    assert_eq!(rejected.evidence.records, ["a.localhost. A 192.0.2.1"]);
}

#[tokio::test]
async fn cnames_from_and_to_names_below_localhost_are_followed_at_a_resolver_that_is_set() {
    let owner = "_acme-challenge.a.localhost";
    let zone = Zone::default()
        .cname(owner, "challenges.example.net.")
        .txt("challenges.example.net", &[&[TXT_VALUE]])
        .cname(OWNER, "b.localhost.")
        .txt("b.localhost", &[&[TXT_VALUE]])
        .cname(NAME, "c.localhost.")
        .a("c.localhost", "192.0.2.1");
    let scene = Scene::new(zone).await;
    for (name, alias, end) in
        [("a.localhost", owner, "challenges.example.net"), (NAME, OWNER, "b.localhost")]
    {
        let evidence = scene.validate(ChallengeType::Dns01, name).await.unwrap();
        let expected = [format!("{alias}. CNAME {end}."), format!("{end}. TXT {TXT_VALUE}")];
        assert_eq!(evidence.records, expected);
    }
    let rejected = scene.validate(ChallengeType::Http01, NAME).await.unwrap_err();
    assert_eq!(
        rejected.evidence.records,
        ["a.example. CNAME c.localhost.", "c.localhost. A 192.0.2.1"]
    );
}

#[tokio::test]
async fn one_right_record_among_others_is_enough() {
    let scene = Scene::new(Zone::default().txt(OWNER, &[&["other"], &[TXT_VALUE], &[""]])).await;
    assert_eq!(scene.dns01().await.unwrap().records.len(), 3);
}

#[tokio::test]
async fn the_strings_of_one_record_are_joined() {
    let (one, other) = TXT_VALUE.split_at(10);
    Scene::new(Zone::default().txt(OWNER, &[&[one, other]])).await.dns01().await.unwrap();
}

#[tokio::test]
async fn strings_of_different_records_are_not_joined() {
    let (one, other) = TXT_VALUE.split_at(10);
    let scene = Scene::new(Zone::default().txt(OWNER, &[&[one], &[other]])).await;
    failure(scene.dns01().await);
}

#[tokio::test]
async fn cnames_are_followed_to_the_record() {
    let zone = Zone::default()
        .cname(OWNER, "challenges.example.net.")
        .cname("challenges.example.net", "a.challenges.example.net.")
        .txt("a.challenges.example.net", &[&[TXT_VALUE]]);
    let evidence = Scene::new(zone).await.dns01().await.unwrap();
    assert_eq!(evidence.records.len(), 3, "{:?}", evidence.records);
}

#[tokio::test]
async fn a_record_of_another_name_in_the_answer_does_not_count() {
    for own in [vec![txt("other")], vec![]] {
        let others = vec![record("_acme-challenge.b.example", txt(TXT_VALUE))];
        let answer = Answer::Mixed(Sections { own, others, ..Sections::default() });
        let zone = Zone::default().answer(OWNER, RecordType::TXT, answer);
        let rejected = Scene::new(zone).await.dns01().await.unwrap_err();
        assert_eq!(rejected.failure.kind, FailureKind::IncorrectResponse);
        assert!(!rejected.evidence.records.iter().any(|it| it.contains("b.example")));
    }
}

#[tokio::test]
async fn a_loop_of_cnames_is_a_failure() {
    let zone = Zone::default().cname(OWNER, "b.example.").cname("b.example", &format!("{OWNER}."));
    failure(Scene::new(zone).await.dns01().await);
}

#[tokio::test]
async fn a_wildcard_is_proven_at_its_base() {
    let scene = Scene::new(Zone::default().txt(OWNER, &[&[TXT_VALUE]])).await;
    scene.validate(ChallengeType::Dns01, "*.A.example").await.unwrap();
}

/// Other records than the right one, which is the last.
fn with_others(zone: Zone, owner: &str, count: usize) -> Zone {
    let others: Vec<String> = (0..count).map(|n| format!("{n:0>43}")).collect();
    let mut values: Vec<[&str; 1]> = others.iter().map(|value| [value.as_str()]).collect();
    values.push([TXT_VALUE]);
    let values: Vec<&[&str]> = values.iter().map(<[&str; 1]>::as_slice).collect();
    zone.txt(owner, &values)
}

#[tokio::test]
async fn many_records_come_over_tcp() {
    let scene = Scene::new(with_others(Zone::default(), OWNER, TOO_MANY_FOR_UDP)).await;
    scene.dns01().await.unwrap();
}

#[tokio::test]
async fn hundreds_of_other_records_do_not_hide_the_right_one() {
    let scene = Scene::new(with_others(Zone::default(), OWNER, 600)).await;
    let evidence = scene.dns01().await.unwrap();
    assert_eq!(evidence.records[0], format!("{OWNER}. TXT {TXT_VALUE}"));
}

#[tokio::test]
async fn connections_that_the_resolver_closed_fail_no_later_lookup() {
    let names = || (0..32).map(|n| format!("n{n}.example"));
    let owners = names().map(|name| format!("_acme-challenge.{name}"));
    let zone =
        owners.fold(Zone::default(), |zone, owner| with_others(zone, &owner, TOO_MANY_FOR_UDP));
    let scene = Scene::new(zone).await;
    let validator = Validator::new(scene.settings.clone()).unwrap();
    let prove = async |name: String| {
        let asked = identifier(&name);
        validator.validate(attempt(ChallengeType::Dns01, &asked)).await.unwrap().unwrap();
    };
    join_all(names().map(prove)).await;
    for name in names() {
        prove(name).await;
    }
}

#[tokio::test]
async fn wrong_records_are_counted_but_not_repeated() {
    for (values, text) in [
        (&[&["evil"][..]][..], "1 TXT record was found at _acme-challenge.a.example"),
        (&[&["evil"][..], &["\"<evil>"][..]][..], "2 TXT records were found at"),
    ] {
        let rejected =
            Scene::new(Zone::default().txt(OWNER, values)).await.dns01().await.unwrap_err();
        assert_eq!(rejected.failure.kind, FailureKind::IncorrectResponse);
        assert!(rejected.failure.detail.contains(text), "{}", rejected.failure.detail);
        assert!(!rejected.failure.detail.contains("evil"));
        assert_eq!(rejected.evidence.records.len(), values.len());
    }
}

#[tokio::test]
async fn a_value_with_anything_around_it_is_not_the_value() {
    for value in [format!(" {TXT_VALUE}"), format!("{TXT_VALUE}="), TXT_VALUE.to_ascii_lowercase()]
    {
        failure(Scene::new(Zone::default().txt(OWNER, &[&[&value]])).await.dns01().await);
    }
}

#[tokio::test]
async fn a_name_without_txt_records_is_told_from_one_that_does_not_exist() {
    let empty = Scene::new(Zone::default().a(OWNER, "192.0.2.1")).await;
    let failed = failure(empty.dns01().await);
    assert_eq!(failed.kind, FailureKind::IncorrectResponse);
    assert_eq!(failed.detail, format!("no TXT record was found at {OWNER}"));
    let failed = failure(Scene::new(Zone::default()).await.dns01().await);
    assert_eq!(failed.kind, FailureKind::Dns);
    assert!(failed.detail.contains("NXDOMAIN"), "{}", failed.detail);
}

#[tokio::test]
async fn failing_and_silent_servers_are_told_apart() {
    for (answer, text) in [
        (Answer::Code(ResponseCode::ServFail), "SERVFAIL"),
        (Answer::Code(ResponseCode::Refused), "REFUSED"),
        (Answer::Code(ResponseCode::FormErr), "could not be understood"),
        (Answer::Silence, "no answer came in time"),
    ] {
        let zone = Zone::default().answer(OWNER, RecordType::TXT, answer);
        let failure = failure(Scene::new(zone).await.dns01().await);
        assert_eq!(failure.kind, FailureKind::Dns);
        assert!(failure.detail.contains(text), "{}", failure.detail);
    }
}

#[tokio::test]
async fn a_name_too_long_for_the_challenge_label_is_a_failure() {
    let label = "a".repeat(60);
    let name = format!("{label}.{label}.{label}.{label}.example");
    let scene = Scene::new(Zone::default()).await;
    let failure = failure(scene.validate(ChallengeType::Dns01, &name).await);
    assert!(failure.detail.contains("too long"), "{}", failure.detail);
}
