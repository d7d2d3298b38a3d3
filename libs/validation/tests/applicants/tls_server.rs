//! A TLS server that shows a certificate of the test's choice.

use std::sync::Arc;

use rcgen::{
    CertificateParams, CustomExtension, KeyPair, PKCS_ECDSA_P256_SHA256, SanType,
    SignatureAlgorithm,
};
use ring::digest::{SHA256, digest};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::{io::AsyncReadExt as _, net::TcpListener, task::JoinHandle};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig, SupportedProtocolVersion,
        crypto::CryptoProvider,
        sign::CertifiedKey,
        sign::SingleCertAndKey,
        version::{TLS12, TLS13},
    },
};

use crate::scene::{KEY_AUTHORIZATION, NAME};

/// The content of the right extension: a DER OCTET STRING.
pub(crate) fn digest_octets() -> Vec<u8> {
    [&[4, 32], digest(&SHA256, KEY_AUTHORIZATION.as_bytes()).as_ref()].concat()
}

/// An acmeIdentifier extension.
pub(crate) fn acme_identifier(last: &[u64], content: Vec<u8>, critical: bool) -> CustomExtension {
    let oid = [&[1, 3, 6, 1, 5, 5, 7, 1], last].concat();
    let mut extension = CustomExtension::from_oid_content(&oid, content);
    extension.set_criticality(critical);
    extension
}

/// What the server shows.
pub(crate) struct Shown {
    pub(crate) names: Vec<SanType>,
    pub(crate) extensions: Vec<CustomExtension>,
    pub(crate) protocols: Vec<&'static [u8]>,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) algorithm: &'static SignatureAlgorithm,
    /// Whether the handshake is signed with another key than the certificate's.
    pub(crate) stolen: bool,
}

/// Everything as it should be.
impl Default for Shown {
    fn default() -> Self {
        Self {
            names: vec![SanType::DnsName(NAME.try_into().unwrap())],
            extensions: vec![acme_identifier(&[31], digest_octets(), true)],
            protocols: vec![b"acme-tls/1"],
            versions: vec![&TLS12, &TLS13],
            algorithm: &PKCS_ECDSA_P256_SHA256,
            stolen: false,
        }
    }
}

/// A running server; stops when dropped.
pub(crate) struct TlsServer {
    pub(crate) port: u16,
    pub(crate) certificate: CertificateDer<'static>,
    task: JoinHandle<Vec<String>>,
}

impl TlsServer {
    pub(crate) async fn start(shown: Shown) -> Self {
        Self::start_at("127.0.0.1", shown).await
    }

    pub(crate) async fn start_at(address: &str, shown: Shown) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = KeyPair::generate_for(shown.algorithm).unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = shown.names;
        params.custom_extensions = shown.extensions;
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let signing = if shown.stolen { KeyPair::generate().unwrap() } else { key };
        let provider = CryptoProvider::get_default().unwrap();
        let der = PrivatePkcs8KeyDer::from(signing.serialize_der());
        let key = provider.key_provider.load_private_key(der.into()).unwrap();
        let certified = CertifiedKey::new(vec![certificate.clone()], key);
        let mut config = ServerConfig::builder_with_protocol_versions(&shown.versions)
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = shown.protocols.iter().map(|name| name.to_vec()).collect();
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(serve(listener, Arc::new(config).into()));
        Self { port, certificate, task }
    }

    /// The server name of the first handshake that came to its end.
    pub(crate) async fn asked_for(mut self) -> Vec<String> {
        (&mut self.task).await.unwrap()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Shakes hands until one handshake succeeds.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor) -> Vec<String> {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = acceptor.accept(stream).await {
            // Many clients say no goodbye.
            let sent = stream.read(&mut [0]).await.unwrap_or(0);
            assert_eq!(sent, 0, "the handshake is all there is (RFC 8737 §4)");
            let (_, connection) = stream.get_ref();
            return connection.server_name().map(str::to_owned).into_iter().collect();
        }
    }
}
