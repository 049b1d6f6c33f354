//! The HTTP client that all model requests share.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::redirect;
use tower_layer::Layer;
use tower_service::Service;

use super::request::ModelTimeouts;

tokio::task_local! {
    /// How long the connection of the request that is being sent may take. reqwest knows only one such
    /// limit per client, and one client is shared so that connections are.
    pub(super) static CONNECT_LIMIT: Duration;
}

/// Why there is no HTTP client.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// `main` did not install a rustls provider first.
    #[error(
        "no TLS provider is installed; the process has to install one before its first request"
    )]
    NoTlsProvider,
    /// The host has no trusted certificates.
    #[error(
        "this system has no trusted CA certificates, so no TLS connection could be checked; install the package \
         `ca-certificates`, or point SSL_CERT_FILE at a PEM file of certificates"
    )]
    NoCertificates,
    /// Anything else.
    #[error("the HTTP client could not be built: {0}")]
    Other(String),
}

/// Builds the client. It has no timeouts of its own (each request brings its [`ModelTimeouts`]) and follows
/// no redirects, because a redirect would carry a key to another host.
pub fn http_client() -> Result<reqwest::Client, HttpSetupError> {
    // Without a provider reqwest panics instead of failing.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(HttpSetupError::NoTlsProvider);
    }
    reqwest::Client::builder()
        .user_agent(concat!("openclaw/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connector_layer(ConnectLimitLayer)
        .build()
        .map_err(|error| {
            let text = innermost(&error);
            if text.contains("No CA certificates") {
                HttpSetupError::NoCertificates
            } else {
                HttpSetupError::Other(text)
            }
        })
}

/// The words of the last error in the chain: `Connection refused` rather than `error sending request`.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// Whether an error says that no connection came about in time, and in what time.
pub(super) fn connect_timeout(error: &(dyn std::error::Error + 'static)) -> Option<Duration> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(ConnectTimedOut(limit)) = error.downcast_ref() {
            return Some(*limit);
        }
        next = error.source();
    }
    None
}

#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
struct ConnectTimedOut(Duration);

#[derive(Clone)]
struct ConnectLimitLayer;

impl<S> Layer<S> for ConnectLimitLayer {
    type Service = ConnectLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ConnectLimit { inner }
    }
}

#[derive(Clone)]
struct ConnectLimit<S> {
    inner: S,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<S, R> Service<R> for ConnectLimit<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let limit = CONNECT_LIMIT
            .try_with(|limit| *limit)
            .unwrap_or(ModelTimeouts::default().connect);
        let connecting = self.inner.call(request);
        Box::pin(async move {
            tokio::time::timeout(limit, connecting)
                .await
                .map_err(|_| BoxError::from(ConnectTimedOut(limit)))?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHILD: &str = "OPENCLAW_TEST_WITHOUT_CA";

    /// The certificate store is read from the environment, so the case runs in a process of its own.
    #[test]
    fn a_host_without_certificates_gets_an_explanation_and_no_panic() {
        if std::env::var_os(CHILD).is_some() {
            rustls::crypto::ring::default_provider()
                .install_default()
                .ok();
            let text = http_client().unwrap_err().to_string();
            assert!(text.contains("ca-certificates"), "{text}");
            return;
        }
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--test-threads=1"])
            .arg(
                concat!(
                    module_path!(),
                    "::a_host_without_certificates_gets_an_explanation_and_no_panic"
                )
                .trim_start_matches("openclaw_actors::"),
            )
            .env(CHILD, "1")
            .env("SSL_CERT_FILE", "/nonexistent")
            .env("SSL_CERT_DIR", "/nonexistent")
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&child.stdout);
        assert!(stdout.contains("1 passed"), "{stdout}");
    }

    #[test]
    fn a_process_without_a_provider_gets_an_error_and_no_panic() {
        if std::env::var_os(CHILD).is_some() {
            let text = http_client().unwrap_err().to_string();
            assert!(text.contains("TLS provider"), "{text}");
            return;
        }
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--test-threads=1"])
            .arg(
                concat!(
                    module_path!(),
                    "::a_process_without_a_provider_gets_an_error_and_no_panic"
                )
                .trim_start_matches("openclaw_actors::"),
            )
            .env(CHILD, "1")
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&child.stdout);
        assert!(stdout.contains("1 passed"), "{stdout}");
    }
}
