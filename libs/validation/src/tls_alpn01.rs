//! tls-alpn-01: a certificate made for the challenge proves control of a name or address (RFC 8737, RFC 8738 §6).
//!
//! Strict on purpose: a CA that accepted TLS 1.1 and the draft's object identifier had to revoke two million certificates
//! (Let's Encrypt, 25 January 2022).

mod certificate;
mod verifier;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use domain::{Failure, FailureKind, Identifier};
use ring::digest::{SHA256, digest};
use rustls::{
    AlertDescription, ClientConfig,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use self::verifier::AnyCertificate;
use crate::{
    Exhausted, SettingsError, Validator,
    address::{Candidates, Host},
    observed::Observed,
};

/// The protocol that a server has to choose (RFC 8737 §4).
const PROTOCOL: &[u8] = b"acme-tls/1";

/// The TLS client of all validations: keeps no session or other state between handshakes.
pub(crate) struct TlsClient(TlsConnector);

/// Why there is no certificate to check.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("connecting took too long")]
    ConnectTimeout,
    #[error("the connection was refused")]
    ConnectionRefused,
    #[error("no connection could be made")]
    NotConnected,
    #[error("no connection could be made from here")]
    Exhausted(Exhausted),
    #[error("the TLS handshake took too long")]
    Slow,
    #[error("the TLS handshake failed")]
    Tls,
    #[error("the server did not choose the protocol acme-tls/1")]
    OtherProtocol,
    #[error("the server showed no certificate")]
    NoCertificate,
}

impl TlsClient {
    /// Sets up the client once.
    pub(crate) fn new() -> Result<Self, SettingsError> {
        let provider = CryptoProvider::get_default().ok_or(SettingsError::NoCryptoProvider)?;
        let verifier = AnyCertificate::new(provider.signature_verification_algorithms);
        let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(SettingsError::TlsClient)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

/// Checks that the server at the identifier shows the challenge's certificate.
pub(crate) async fn validate(
    validator: &Validator,
    identifier: &Identifier,
    key_authorization: &str,
    observed: &mut Observed,
) -> Result<(), Failure> {
    let server_name = match identifier {
        Identifier::Dns(name) => name.base().canonical(),
        Identifier::Ip(address) => address.reverse_name(),
    };
    let certificate = show(validator, identifier, &server_name, observed).await?;
    let expected = digest(&SHA256, key_authorization.as_bytes());
    certificate::check(&certificate, identifier, expected.as_ref()).map_err(|wrong| {
        let detail =
            format!("the certificate shown for {server_name} is not the challenge's: {wrong}");
        Failure::new(FailureKind::IncorrectResponse, &detail)
    })
}

/// Asks one candidate after the other until one can be connected to.
async fn show(
    validator: &Validator,
    identifier: &Identifier,
    server_name: &str,
    observed: &mut Observed,
) -> Result<CertificateDer<'static>, Failure> {
    let port = validator.settings.tls_alpn01_port;
    let mut failed = None;
    let mut candidates = Candidates::of(validator, &Host::from(identifier), observed).await?;
    while let Some(address) = candidates.next(observed).await {
        let address = SocketAddr::new(address, port);
        observed.handshake(server_name, address);
        match shake_hands(validator, server_name, address, observed).await {
            Ok(certificate) => return Ok(certificate),
            Err(error) if error.before_connected() => failed = Some((error, address.ip())),
            Err(error) => return Err(error.failure(identifier, address.ip(), observed)),
        }
    }
    Err(match failed {
        Some((error, address)) => error.failure(identifier, address, observed),
        // There is at least one candidate.
        None => Failure::new(FailureKind::ServerInternal, "no address was tried"),
    })
}

async fn shake_hands(
    validator: &Validator,
    server_name: &str,
    address: SocketAddr,
    observed: &mut Observed,
) -> Result<CertificateDer<'static>, HandshakeError> {
    let connecting = timeout(validator.settings.connect_timeout, TcpStream::connect(address));
    let stream = connecting.await.map_err(|_| HandshakeError::ConnectTimeout)?;
    let stream = stream.map_err(|error| HandshakeError::of_connecting(&error, address.ip()))?;
    let server_name = ServerName::try_from(server_name.to_owned()).map_err(|error| {
        tracing::error!(server_name, %error, "an identifier makes no server name");
        HandshakeError::Tls
    })?;
    let shaking = validator.tls.0.connect(server_name, stream);
    let stream = timeout(validator.settings.request_timeout, shaking).await;
    let stream: TlsStream<TcpStream> =
        stream.map_err(|_| HandshakeError::Slow)?.map_err(|error| {
            tracing::debug!(%error, "handshake failed");
            if is_other_protocol(&error) {
                HandshakeError::OtherProtocol
            } else {
                HandshakeError::Tls
            }
        })?;
    let (_, connection) = stream.get_ref();
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    observed.shaken(connection.protocol_version(), certificate);
    if connection.alpn_protocol() != Some(PROTOCOL) {
        return Err(HandshakeError::OtherProtocol);
    }
    certificate.map(|shown| shown.clone().into_owned()).ok_or(HandshakeError::NoCertificate)
}

/// Whether the server ended the handshake because it knows none of our protocols (RFC 7301 §3.2), as ordinary web servers do.
fn is_other_protocol(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    cause == Some(&rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol))
}

impl HandshakeError {
    /// Whether the address could not be connected to, so that another one may be tried.
    fn before_connected(&self) -> bool {
        match self {
            Self::ConnectTimeout | Self::ConnectionRefused | Self::NotConnected => true,
            Self::Exhausted(_)
            | Self::Slow
            | Self::Tls
            | Self::OtherProtocol
            | Self::NoCertificate => false,
        }
    }

    /// Tells the applicant, and the caller where the applicant is not meant.
    fn failure(
        &self,
        identifier: &Identifier,
        address: IpAddr,
        observed: &mut Observed,
    ) -> Failure {
        let kind = match self {
            Self::ConnectTimeout | Self::ConnectionRefused | Self::NotConnected | Self::Slow => {
                FailureKind::Connection
            }
            Self::Exhausted(exhausted) => {
                observed.note_exhausted(*exhausted);
                FailureKind::ServerInternal
            }
            Self::Tls | Self::OtherProtocol | Self::NoCertificate => FailureKind::Tls,
        };
        Failure::new(kind, &format!("{identifier} at {address}: {self}"))
    }

    fn of_connecting(error: &io::Error, address: IpAddr) -> Self {
        match Exhausted::of_connecting(error, address) {
            Some(exhausted) => Self::Exhausted(exhausted),
            None if error.kind() == io::ErrorKind::ConnectionRefused => Self::ConnectionRefused,
            None => Self::NotConnected,
        }
    }
}
