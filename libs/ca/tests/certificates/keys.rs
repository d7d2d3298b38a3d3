//! Key files between openssl and us.

use ca::{KeyAlgorithm, KeyPemError, KeyStore, KeyStoreError, Passphrase};

use crate::support::{openssl, private_key, text};

const MADE_HERE: [KeyAlgorithm; 3] =
    [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519];

fn passphrase() -> Option<Passphrase> {
    Some(Passphrase::from("correct horse".to_owned()))
}

fn public_der(pem: &str) -> Vec<u8> {
    pem::parse(pem).unwrap().into_contents()
}

#[test]
fn openssl_reads_the_keys_we_make() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path(), None);
    for algorithm in MADE_HERE {
        let name = algorithm.as_str();
        let key = store.create(name, algorithm).unwrap();
        let public = openssl(&["pkey", "-in", text(&store.path(name)), "-pubout"]);
        assert_eq!(public_der(&public), key.spki(), "{algorithm}");
    }
}

#[test]
fn openssl_reads_the_keys_we_encrypt() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path(), passphrase());
    let key = store.create("a.key", KeyAlgorithm::EcdsaP256).unwrap();
    let path = store.path("a.key");
    let public = openssl(&["pkey", "-in", text(&path), "-passin", "pass:correct horse", "-pubout"]);
    assert_eq!(public_der(&public), key.spki());
}

#[test]
fn we_read_the_keys_openssl_makes() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path(), None);
    for algorithm in KeyAlgorithm::ALL {
        let key = store.import(algorithm.as_str(), &private_key(algorithm)).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(store.load(algorithm.as_str()).unwrap().spki(), key.spki());
    }
}

#[test]
fn we_read_the_keys_openssl_encrypts() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain.pem");
    std::fs::write(&plain, private_key(KeyAlgorithm::EcdsaP384)).unwrap();
    let encrypted = openssl(&[
        "pkcs8",
        "-topk8",
        "-in",
        text(&plain),
        "-v2",
        "aes-256-cbc",
        "-passout",
        "pass:correct horse",
    ]);
    let store = KeyStore::new(dir.path().join("keys"), passphrase());
    let key = store.import("a.key", &encrypted).unwrap();
    assert_eq!(key.algorithm(), KeyAlgorithm::EcdsaP384);
}

#[test]
fn keys_we_cannot_use_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path(), None);
    let small = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    let curve = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"];
    for pem in [small, openssl(&curve)] {
        assert!(matches!(store.import("a.key", &pem), Err(KeyStoreError::Key(_))));
    }
    let sec1 = openssl(&["ecparam", "-genkey", "-name", "prime256v1"]);
    assert!(matches!(
        store.import("a.key", &sec1),
        Err(KeyStoreError::Pem(KeyPemError::OldForm(_)))
    ));
    assert!(!store.contains("a.key").unwrap());
}
