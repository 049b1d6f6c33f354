//! Asks tailscaled over its own socket: HTTP on a Unix socket, readable by every local user.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::ask::{AskError, Asked, Identity, Status, Subject, Tailscale, read_status, read_whois};

/// Where tailscaled listens on Linux when nothing else is said.
pub const SOCKET: &str = "/var/run/tailscale/tailscaled.sock";
/// The name that tailscaled wants to be called by; nobody looks it up.
const NAME: &str = "local-tailscaled.sock";
/// Largest answer, bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// The daemon's own socket.
#[derive(Debug, Clone)]
pub struct LocalApi {
    socket: Arc<PathBuf>,
}

impl LocalApi {
    /// The daemon that listens on this socket.
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket: Arc::new(socket),
        }
    }
}

impl Tailscale for LocalApi {
    fn seems_up(&self) -> bool {
        self.socket.exists()
    }

    fn status(&self) -> Asked<Status> {
        let socket = Arc::clone(&self.socket);
        async move {
            match get(&socket, "/localapi/v0/status?peers=false".into()).await? {
                (StatusCode::OK, body) => read_status(&body),
                (status, _) => Err(AskError::Failed(format!("status answered {status}"))),
            }
        }
        .boxed()
    }

    fn whois(&self, subject: Subject) -> Asked<Option<Identity>> {
        let socket = Arc::clone(&self.socket);
        // The brackets of an IPv6 address are not allowed in a query as they are.
        let about = subject.to_string().replace('[', "%5B").replace(']', "%5D");
        async move {
            let path = format!("/localapi/v0/whois?proto=tcp&addr={about}");
            match get(&socket, path).await? {
                (StatusCode::OK, body) => read_whois(&body).map(Some),
                (StatusCode::NOT_FOUND, _) => Ok(None),
                (status, _) => Err(AskError::Failed(format!("whois answered {status}"))),
            }
        }
        .boxed()
    }
}

/// One request on a connection of its own.
async fn get(socket: &Path, path: String) -> Result<(StatusCode, Bytes), AskError> {
    use std::io::ErrorKind::{ConnectionRefused, NotFound};
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| match error.kind() {
            NotFound | ConnectionRefused => AskError::Absent,
            _ => AskError::Failed(format!("{}: {error}", socket.display())),
        })?;
    let failed = |error: hyper::Error| AskError::Failed(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let request = Request::get(path)
        .header(HOST, NAME)
        .body(Empty::<Bytes>::new())
        .map_err(|error| AskError::Failed(error.to_string()))?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| AskError::Failed(error.to_string()))?;
        Ok((status, body.to_bytes()))
    };
    // The connection only moves while it is polled, and its end is the answer's error.
    let (answer, _) = tokio::join!(answer, connection);
    answer
}
