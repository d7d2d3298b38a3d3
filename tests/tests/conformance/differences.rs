//! The same client asks Pebble and this server the same things: docs/rfc-conformance.md names every difference.

use std::collections::BTreeSet;

use acceptance::{ChallengeServer, DnsServer, Pebble, Setup};

use crate::{
    document,
    observed::{ANSWER, Facts},
    script::{Script, Step},
};

/// Stands for every request in the document.
const ANY: &str = "any";
/// Stands for what is not there.
const NOTHING: &str = "–";
const HEADING: &str = "## Differences from Pebble";

/// One way in which the servers answer differently.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Difference {
    request: String,
    fact: String,
    pebble: String,
    ours: String,
}

impl Difference {
    /// As a row of the document, which still wants its reason.
    fn row(&self) -> String {
        let Self { request, fact, pebble, ours } = self;
        format!("| {request} | {fact} | {pebble} | {ours} | |")
    }
}

/// What differs between two replies; of a request that only one server grants nothing but that.
fn differences(step: &'static str, pebble: &Facts, ours: &Facts) -> Vec<Difference> {
    let facts: BTreeSet<&String> = pebble.keys().chain(ours.keys()).collect();
    let value = |facts: &Facts, fact| facts.get(fact).map_or(NOTHING, String::as_str).to_owned();
    let granted = |facts: &Facts| value(facts, ANSWER).as_str() < "400";
    let one_grants = granted(pebble) != granted(ours);
    let differing = facts.into_iter().filter(|fact| pebble.get(*fact) != ours.get(*fact));
    differing
        .filter(|fact| !one_grants || *fact == ANSWER)
        .map(|fact| Difference {
            request: step.to_owned(),
            fact: fact.clone(),
            pebble: value(pebble, fact),
            ours: value(ours, fact),
        })
        .collect()
}

/// The differences that the document explains; a row may name several requests and facts.
fn explained() -> anyhow::Result<Vec<Difference>> {
    let mut explained = Vec::new();
    for row in document::table_below(HEADING)? {
        let [requests, fact, pebble, ours, why] = &row[..] else {
            anyhow::bail!("not a row of five cells: {row:?}");
        };
        anyhow::ensure!(!why.is_empty(), "{requests}: {fact} has no reason");
        let pairs = requests.split("; ").flat_map(|request| {
            fact.split("; ").map(move |fact| (request.to_owned(), fact.to_owned()))
        });
        explained.extend(pairs.map(|(request, fact)| Difference {
            request,
            fact,
            pebble: pebble.clone(),
            ours: ours.clone(),
        }));
    }
    Ok(explained)
}

async fn ask_both() -> anyhow::Result<[Vec<Step>; 2]> {
    let (web, dns) = (ChallengeServer::start().await?, DnsServer::start().await?);
    let setup = Setup::embedded()
        .set("validation.http01_port", web.port())
        .set("validation.dns_resolver", dns.address())
        // Pebble looks once.
        .set("validation.attempts", 1)
        .set("profile", OUR_PROFILE);
    let (pebble, ours) = tokio::try_join!(Pebble::start(web.port(), &dns), setup.start())?;
    let both = tokio::try_join!(
        Script::play(pebble.directory_url(), pebble.trust(), &web),
        Script::play(ours.directory_url(), ours.root(), &web)
    )?;
    Ok(both.into())
}

/// What Pebble allows.
const OUR_PROFILE: &str = r#"[{name="default", identifier_types=["dns", "ip"], wildcard_allowed=true,
    terms_of_service="https://ca.example.com/terms", terms_required=true, requested_validity_allowed=true}]"#;

#[tokio::test]
async fn every_difference_from_pebble_is_explained_and_still_there() -> anyhow::Result<()> {
    let [pebble, ours] = ask_both().await?;
    let names: BTreeSet<&str> = ours.iter().map(|step| step.name).collect();
    assert_eq!(names.len(), ours.len(), "two steps have one name");
    let mut open: BTreeSet<Difference> = explained()?.into_iter().collect();
    let mut unexplained = Vec::new();
    let any: Vec<Difference> = open.iter().filter(|it| it.request == ANY).cloned().collect();
    for (theirs, ours) in pebble.iter().zip(&ours) {
        assert_eq!(theirs.name, ours.name, "both servers are asked the same");
        for difference in differences(ours.name, &theirs.facts, &ours.facts) {
            let general = Difference { request: ANY.to_owned(), ..difference.clone() };
            let by_row = open.remove(&difference);
            let by_general = any.contains(&general);
            open.remove(&general);
            if !by_row && !by_general {
                unexplained.push(difference.row());
            }
        }
    }
    let vanished: Vec<String> = open.iter().map(Difference::row).collect();
    assert!(
        unexplained.is_empty() && vanished.is_empty(),
        "not in docs/rfc-conformance.md:\n{}\nthere, but not seen:\n{}",
        unexplained.join("\n"),
        vanished.join("\n")
    );
    Ok(())
}
