//! What applicants cannot help: this machine has nothing left to look with.

use std::{fs::File, os::fd::AsRawFd as _};

use domain::{ChallengeType, DnsName};
use hickory_resolver::proto::{
    dnssec::rdata::{DNSSECRData, NSEC},
    rr::{Name, RData, RecordType},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use validation::{CaaQuestion, Exhausted, NetworkPolicy, Outcome, Settings, Validator};

use crate::{
    dns_server::{Answer, Zone, txt},
    dnssec::{OWNER, signer},
    scene::{ACCOUNT, KEY_AUTHORIZATION, NAME, Scene, TXT_VALUE, attempt, identifier},
    web_server::{Reply, WebServer},
};

type Look = Result<Outcome, Exhausted>;

/// Lets the process open no file beside those that it has.
pub(crate) fn forbid_files() -> Rlimit {
    allow_files(0)
}

/// Lets the process open files with lower numbers only.
fn allow_files(below: u64) -> Rlimit {
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(below), ..before }).unwrap();
    before
}

#[tokio::test]
async fn nothing_is_rejected_while_no_file_can_be_opened() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let scene = Scene::new(Zone::default().a(NAME, "127.0.0.1")).await.port(web.port);
    let caa_identities = vec!["ca.example".to_owned()];
    let validator = Validator::new(Settings { caa_identities, ..scene.settings.clone() }).unwrap();
    let before = forbid_files();
    let mut looks = Vec::new();
    for challenge in ChallengeType::ALL {
        for asked in [NAME, "127.0.0.1"] {
            if (challenge, asked) != (ChallengeType::Dns01, "127.0.0.1") {
                let asked_for = identifier(asked);
                let look = validator.validate(attempt(challenge, &asked_for)).await;
                looks.push((challenge.as_str(), asked, look));
            }
        }
    }
    let name: DnsName = NAME.parse().unwrap();
    let (wildcard, challenge) = (false, ChallengeType::Http01);
    let question = CaaQuestion { name: &name, wildcard, challenge, account_url: ACCOUNT };
    looks.push(("caa", NAME, validator.check_caa(question).await));
    setrlimit(Resource::Nofile, before).unwrap();
    for (challenge, asked, look) in looks {
        assert_eq!(look, Err(Exhausted::ProcessFiles), "{challenge} of {asked}");
    }
    scene.http01().await.unwrap();
}

/// Looks at dns-01 where no file can be opened after the answer about TXT records.
async fn look_after(answer: Answer, zone: Zone, trust_anchor: Option<String>) -> Look {
    let answer = Answer::Exhausting(Box::new(answer));
    let mut scene = Scene::new(zone.answer(OWNER, RecordType::TXT, answer)).await;
    scene.settings.trust_anchor = trust_anchor;
    let validator = Validator::new(scene.settings.clone()).unwrap();
    let (asked, before) = (identifier(NAME), getrlimit(Resource::Nofile));
    let look = validator.validate(attempt(ChallengeType::Dns01, &asked)).await;
    setrlimit(Resource::Nofile, before).unwrap();
    look
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_udp_is_not_taken_for_one_without_sense() {
    let long = (0..40).map(|n| txt(&format!("{n:064}"))).collect();
    let look = look_after(Answer::Records(long), Zone::default(), None).await;
    assert_eq!(look, Err(Exhausted::ProcessFiles));
}

#[tokio::test]
async fn what_cannot_be_proven_without_another_file_is_not_taken_for_forged() {
    let nsec = NSEC::new(Name::from_ascii("b.example.").unwrap(), [RecordType::A]);
    let denial = Answer::Denial(Box::new(RData::DNSSEC(DNSSECRData::NSEC(nsec))));
    for answer in [denial, Answer::Records(vec![txt(TXT_VALUE)])] {
        let (signer, anchor) = signer();
        let look = look_after(answer, Zone::default().signed(signer), Some(anchor)).await;
        assert_eq!(look, Err(Exhausted::ProcessFiles));
    }
}

#[tokio::test]
async fn an_address_that_could_not_be_asked_for_may_be_the_one_that_answers() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let zone = Zone::default().a(NAME, "::1").a(NAME, "127.0.0.1");
    let mut scene = Scene::new(zone).await.port(web.port);
    scene.settings.policy =
        NetworkPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    let validator = Validator::new(scene.settings.clone()).unwrap();
    let asked = identifier(NAME);
    // Enough for the question about IPv6, which is asked first.
    let free = File::open("/dev/null").unwrap().as_raw_fd();
    let before = allow_files(u64::try_from(free).unwrap() + 1);
    let look = validator.validate(attempt(ChallengeType::Http01, &asked)).await;
    setrlimit(Resource::Nofile, before).unwrap();
    assert_eq!(look, Err(Exhausted::ProcessFiles));
    scene.http01().await.unwrap();
}

#[tokio::test]
async fn a_name_and_its_wildcard_that_ask_the_same_at_once_both_wait() {
    let long = (0..40).map(|n| txt(&format!("{n:064}"))).collect();
    let answer = Answer::Exhausting(Box::new(Answer::Records(long)));
    let scene = Scene::new(Zone::default().answer(OWNER, RecordType::TXT, answer)).await;
    let validator = Validator::new(scene.settings.clone()).unwrap();
    let (asked, before) = (identifier(NAME), getrlimit(Resource::Nofile));
    let look = || validator.validate(attempt(ChallengeType::Dns01, &asked));
    let looks = futures::future::join(look(), look()).await;
    setrlimit(Resource::Nofile, before).unwrap();
    assert_eq!(looks, (Err(Exhausted::ProcessFiles), Err(Exhausted::ProcessFiles)));
}
