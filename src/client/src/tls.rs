//! Whose certificate is trusted: the one that is pinned by its fingerprint, else what the system trusts.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sha2::{Digest as _, Sha256};

/// SHA-256 of a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Reads 64 hexadecimal digits, with or without colons, with or without `sha256:` before them.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = match text.split_at_checked(7) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("sha256:") => rest,
            _ => text,
        };
        let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b':').collect();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
        }
        Some(Self(bytes))
    }

    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    /// `AA:BB:...`, as `openssl x509 -fingerprint -sha256` shows it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(out, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// A certificate that was not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrusted {
    /// Its fingerprint.
    pub found: Fingerprint,
    /// The fingerprint that was pinned; `None` where the system decided.
    pub pinned: Option<Fingerprint>,
    /// Why, in words.
    pub why: String,
}

impl fmt::Display for Untrusted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pinned {
            Some(pinned) => write!(
                out,
                "its certificate is another one: expected {pinned}, found {}",
                self.found
            ),
            None => write!(out, "its certificate is not trusted: {}", self.why),
        }
    }
}

/// Decides about certificates and remembers why it said no.
#[derive(Debug)]
pub(crate) struct Trust {
    pinned: Option<Fingerprint>,
    /// What the system trusts, or why it cannot say.
    system: Result<Arc<WebPkiServerVerifier>, String>,
    provider: Arc<CryptoProvider>,
    refused: Mutex<Option<Untrusted>>,
}

impl Trust {
    /// Reads what the system trusts unless a certificate is pinned.
    ///
    /// # Errors
    ///
    /// When the process has installed no rustls provider.
    pub(crate) fn new(pinned: Option<Fingerprint>) -> Result<Arc<Self>, &'static str> {
        let provider = CryptoProvider::get_default()
            .ok_or("no TLS provider is installed; the process has to install one first")?;
        let system = if pinned.is_some() {
            Err("a certificate is pinned".to_owned())
        } else {
            system_trust(provider)
        };
        Ok(Arc::new(Self {
            pinned,
            system,
            provider: Arc::clone(provider),
            refused: Mutex::default(),
        }))
    }

    pub(crate) fn config(self: &Arc<Self>) -> Arc<ClientConfig> {
        let mut config = ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Self>::clone(self))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// The certificate that was not trusted, if that is why a handshake failed.
    pub(crate) fn refused(&self) -> Option<Untrusted> {
        let refused = self.refused.lock();
        refused.unwrap_or_else(PoisonError::into_inner).take()
    }

    fn refuse(&self, found: Fingerprint, why: String) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = Some(Untrusted {
            found,
            pinned: self.pinned,
            why,
        });
    }
}

fn system_trust(provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| format!("this system trusts no certificate at all ({error})"))
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = Fingerprint::of(end_entity);
        if let Some(pinned) = self.pinned {
            if pinned == found {
                return Ok(ServerCertVerified::assertion());
            }
            self.refuse(found, "it is not the pinned one".into());
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        let checked = match &self.system {
            Ok(system) => system
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map_err(|error| (error.to_string(), error)),
            Err(why) => Err((why.clone(), CertificateError::UnknownIssuer.into())),
        };
        checked.map_err(|(why, error)| {
            self.refuse(found, why);
            error
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_in_every_form_that_programs_print() {
        let plain = "ab".repeat(32);
        let colons = ["AB"; 32].join(":");
        let parsed = Fingerprint::parse(&plain).unwrap();
        for text in [
            &colons,
            &format!("sha256:{plain}"),
            &format!(" SHA256:{colons} "),
        ] {
            assert_eq!(Fingerprint::parse(text), Some(parsed), "{text}");
        }
        assert_eq!(parsed.to_string(), colons);
        for text in [
            "",
            "ab",
            &plain[1..],
            &format!("{plain}0"),
            &"zz".repeat(32),
            "sha256:",
        ] {
            assert_eq!(Fingerprint::parse(text), None, "{text}");
        }
    }
}
