//! What applicants cannot help: this machine has nothing left to look with.

use domain::{ChallengeType, DnsName};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use validation::{CaaQuestion, Exhausted, Settings, Validator};

use crate::{
    dns_server::Zone,
    scene::{ACCOUNT, KEY_AUTHORIZATION, NAME, Scene, attempt, identifier},
    web_server::{Reply, WebServer},
};

/// Lets the process open no file beside those that it has.
fn forbid_files() -> Rlimit {
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..before }).unwrap();
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
