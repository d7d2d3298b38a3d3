//! DNS answers of random octets: no panic, no acceptance, an end in time.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::ChallengeType;
use hickory_resolver::proto::{
    op::Message,
    rr::{RData, Record, RecordType, rdata::TXT},
};
use proptest::{
    collection::vec,
    prelude::any,
    test_runner::{Config, TestRunner},
};
use validation::Validator;

use crate::{
    dns_server::{Answer, Zone},
    scene::{KEY_AUTHORIZATION, NAME, Scene, TOKEN},
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
    let zone = [RecordType::A, RecordType::AAAA, RecordType::TXT]
        .into_iter()
        .fold(Zone::default(), |zone, kind| {
            zone.answer(NAME, kind, answer.clone()).answer(OWNER, kind, answer.clone())
        });
    let (scene, validator) = runtime.block_on(async {
        let mut scene = Scene::new(zone).await;
        scene.settings.dns_timeout = Duration::from_millis(20);
        scene.settings.dns_retries = 0;
        let validator = Validator::new(scene.settings.clone()).unwrap();
        (scene, validator)
    });
    let name = NAME.parse().unwrap();
    let changed = vec(any::<(u16, u8)>(), 0..12);
    let instead = proptest::option::of(vec(any::<u8>(), 0..200));
    let mut runner =
        TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    runner
        .run(&(changed, instead), |(changed, instead)| {
            *mischief.lock().unwrap() = Mischief { changed, instead };
            for challenge in ChallengeType::ALL {
                let run = validator.validate(challenge, &name, TOKEN, KEY_AUTHORIZATION);
                assert!(runtime.block_on(run).is_err());
            }
            Ok(())
        })
        .unwrap();
    drop(scene);
}
