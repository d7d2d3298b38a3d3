//! DNS answers of random octets: no panic, no acceptance, an end in time.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{ChallengeType, Evidence};
use hickory_resolver::proto::{
    op::Message,
    rr::{RData, Record, RecordType, rdata::TXT},
};
use proptest::{
    collection::vec,
    prelude::any,
    test_runner::{Config, TestRunner},
};
use validation::{CaaQuestion, Validator};

use crate::{
    dns_server::{Answer, Zone},
    scene::{ACCOUNT, NAME, Scene, attempt, identifier},
};

const OWNER: &str = "_acme-challenge.a.example";
const CASES: u32 = 64;

/// What is done to an answer before it is sent.
#[derive(Clone, Debug, Default)]
struct Mischief {
    /// Octets that take the place of others in a well-formed answer, by position.
    changed: Vec<(u16, u8)>,
    /// Octets that follow the header in place of a well-formed answer.
    instead: Option<Vec<u8>>,
}

impl Mischief {
    fn answer(&self, request: &[u8]) -> Vec<u8> {
        /// The id, which must be right or the answer is not even looked at, and the flags.
        const KEPT: usize = 4;
        let mut response = Message::from_vec(request).unwrap().into_response();
        let name = response.queries[0].name().clone();
        let data = RData::TXT(TXT::new(vec!["value".to_owned()]));
        response.add_answer(Record::from_rdata(name, 60, data));
        let mut octets = response.to_vec().unwrap();
        if let Some(instead) = &self.instead {
            octets.truncate(KEPT);
            octets.extend(instead);
        }
        let length = octets.len() - KEPT;
        for (position, octet) in self.changed.iter().filter(|_| length > 0) {
            octets[KEPT + usize::from(*position) % length] = *octet;
        }
        octets
    }
}

#[test]
fn random_answers_neither_panic_nor_prove_anything() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mischief = Arc::new(Mutex::new(Mischief::default()));
    let chosen = mischief.clone();
    let answer = Answer::Octets(Arc::new(move |request| chosen.lock().unwrap().answer(request)));
    let zone = [RecordType::A, RecordType::AAAA, RecordType::TXT, RecordType::CAA]
        .into_iter()
        .fold(Zone::default(), |zone, kind| {
            zone.answer(NAME, kind, answer.clone()).answer(OWNER, kind, answer.clone())
        });
    let (scene, validator) = runtime.block_on(async {
        let mut scene = Scene::new(zone).await;
        scene.settings.dns_timeout = Duration::from_millis(20);
        scene.settings.dns_retries = 0;
        scene.settings.caa_identities = vec!["ca.example".to_owned()];
        let validator = Validator::new(scene.settings.clone()).unwrap();
        (scene, validator)
    });
    let asked = identifier(NAME);
    let name = NAME.parse().unwrap();
    let changed = vec(any::<(u16, u8)>(), 0..12);
    let instead = proptest::option::of(vec(any::<u8>(), 0..200));
    let mut runner =
        TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    runner
        .run(&(changed, instead), |(changed, instead)| {
            *mischief.lock().unwrap() = Mischief { changed, instead };
            for challenge in ChallengeType::ALL {
                let run = validator.validate(attempt(challenge, &asked));
                assert!(runtime.block_on(run).unwrap().is_err());
                // What cannot be understood permits nothing.
                let question =
                    CaaQuestion { name: &name, wildcard: false, challenge, account_url: ACCOUNT };
                let permitted = runtime.block_on(validator.check_caa(question)).unwrap();
                let nothing_said = |evidence: &Evidence| {
                    evidence.caa.as_ref().is_some_and(|caa| caa.records.is_empty())
                };
                assert!(permitted.is_err() || permitted.is_ok_and(|it| nothing_said(&it)));
            }
            Ok(())
        })
        .unwrap();
    drop(scene);
}
