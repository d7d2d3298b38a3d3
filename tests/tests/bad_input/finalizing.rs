//! CSRs and finalize requests that lead to no certificate (RFC 8555 §7.4).

use acceptance::{Order, Scene, csr, csr_from};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use serde_json::json;

use crate::MALFORMED;

const BAD_CSR: acceptance::Refused = (400, "badCSR");
const NAME: &str = "a.localhost";

async fn ready() -> anyhow::Result<(Scene, Order)> {
    let scene = Scene::start().await?;
    let order = scene.client.ready_order(&[NAME], &scene.web).await?;
    Ok((scene, order))
}

/// Every CSR must be refused, and the order must still be ready.
async fn all_refused(csrs: Vec<String>) -> anyhow::Result<()> {
    let (mut scene, order) = ready().await?;
    scene
        .unimpressed(async |scene| {
            for csr in csrs {
                let reply = scene.client.post(&order.finalize()?, &json!({ "csr": csr })).await?;
                reply.refused(BAD_CSR)?;
            }
            assert_eq!(scene.client.read(&order.url).await?.status(), "ready");
            Ok(())
        })
        .await
}

fn csr_of(params: &CertificateParams) -> anyhow::Result<String> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    Ok(encode(params.serialize_request(&key)?.der()))
}

fn params() -> anyhow::Result<CertificateParams> {
    Ok(CertificateParams::new(vec![NAME.to_owned()])?)
}

fn encode(der: &[u8]) -> String {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    BASE64_URL_SAFE_NO_PAD.encode(der)
}

#[tokio::test]
async fn texts_that_are_no_csr_are_refused() -> anyhow::Result<()> {
    let (_, good) = csr(&[NAME])?;
    let spoiled = |position: usize| {
        let other = if good.as_bytes()[position] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &good[..position], &good[position + 1..])
    };
    let mut csrs = vec![
        String::new(),
        "AAAA".to_owned(),
        format!("{good}="),
        format!("{good}AAAA"),
        good[..good.len() / 2].to_owned(),
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{good}"),
        "A".repeat(45_000),
        encode(&[0x30; 20_000]),
        encode(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
    ];
    csrs.extend((1..good.len()).step_by(37).map(spoiled));
    all_refused(csrs).await
}

#[tokio::test]
async fn names_that_are_not_the_orders_are_refused() -> anyhow::Result<()> {
    let mut with_common_name = params()?;
    with_common_name.distinguished_name.push(DnType::CommonName, "b.localhost");
    let mut with_address = params()?;
    with_address.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
    let mut with_mail = params()?;
    with_mail.subject_alt_names.push(SanType::Rfc822Name("a@localhost".try_into()?));
    let mut with_uri = params()?;
    with_uri.subject_alt_names.push(SanType::URI("https://a.localhost".try_into()?));
    let mut csrs = vec![
        csr(&["b.localhost"])?.1,
        csr(&[NAME, "b.localhost"])?.1,
        csr(&["*.localhost"])?.1,
        csr(&[])?.1,
    ];
    for params in [with_common_name, with_address, with_mail, with_uri] {
        csrs.push(csr_of(&params)?);
    }
    all_refused(csrs).await
}

#[tokio::test]
async fn a_csr_for_a_ca_or_must_staple_is_refused() -> anyhow::Result<()> {
    let mut authority = params()?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut staple = params()?;
    let feature = [0x30, 0x03, 0x02, 0x01, 0x05].to_vec();
    let tls_feature = &[1, 3, 6, 1, 5, 5, 7, 1, 24];
    staple.custom_extensions.push(CustomExtension::from_oid_content(tls_feature, feature));
    all_refused(vec![csr_of(&authority)?, csr_of(&staple)?]).await
}

#[tokio::test]
async fn a_csr_without_its_own_signature_is_refused() -> anyhow::Result<()> {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    let (_, good) = csr(&[NAME])?;
    let mut der = BASE64_URL_SAFE_NO_PAD.decode(good)?;
    if let Some(last) = der.last_mut() {
        *last ^= 1;
    }
    all_refused(vec![encode(&der)]).await
}

#[tokio::test]
async fn the_accounts_own_key_is_not_certified() -> anyhow::Result<()> {
    let (scene, _) = ready().await?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let client = scene.newcomer((&key).try_into()?).await?.with_account().await?;
    let order = client.ready_order(&[NAME], &scene.web).await?;
    let payload = json!({ "csr": csr_from(&key, &[NAME])? });
    client.post(&order.finalize()?, &payload).await?.refused(BAD_CSR)?;
    assert_eq!(client.read(&order.url).await?.status(), "ready");
    Ok(())
}

#[tokio::test]
async fn an_order_that_is_not_ready_is_not_finalized() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let pending = scene.client.place(&[NAME]).await?;
    let issued = scene.client.issue(&["b.localhost"], &scene.web).await?;
    scene
        .unimpressed(async |scene| {
            let refused = (403, "orderNotReady");
            let payload = json!({ "csr": csr(&[NAME])?.1 });
            scene.client.post(&pending.finalize()?, &payload).await?.refused(refused)?;
            let payload = json!({ "csr": csr(&["b.localhost"])?.1 });
            scene.client.post(&issued.order.finalize()?, &payload).await?.refused(refused)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_finalize_without_a_csr_is_malformed() -> anyhow::Result<()> {
    let (mut scene, order) = ready().await?;
    scene
        .unimpressed(async |scene| {
            for payload in [json!({}), json!({ "csr": null }), json!({ "csr": ["x"] })] {
                scene.client.post(&order.finalize()?, &payload).await?.refused(MALFORMED)?;
            }
            Ok(())
        })
        .await
}
