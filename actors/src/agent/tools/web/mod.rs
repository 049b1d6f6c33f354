//! Reads pages of the public web, and nothing of this host or its networks.
//!
//! Every address is judged after its name was looked up and before a connection is made to exactly
//! that address, again for each redirect: what a name meant a moment ago does not count. Proxies of
//! the environment are not used, because they would look names up themselves.

mod address;
mod text;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};

pub use address::is_public;

/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 5;
/// Most bytes of a page that are read.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// How long a file may take.
const WHOLE: Duration = Duration::from_mins(1);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Which addresses may be connected to.
pub type Allowed = fn(IpAddr) -> bool;

/// Reads pages.
pub struct Client {
    http: reqwest::Client,
    allowed: Allowed,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where it was in the end.
    pub url: String,
    /// HTTP status.
    pub status: u16,
    /// MIME type.
    pub kind: String,
    /// Its title.
    pub title: Option<String>,
    /// Its text.
    pub text: String,
    /// Whether there was more of it.
    pub cut: bool,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Its name, where its address has one.
    pub name: Option<String>,
    /// MIME type.
    pub kind: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Why a page cannot be read, in words for the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebError {
    /// Not an address of the web.
    #[error("\"{0}\" is not an http or https address")]
    Address(String),
    /// Not on the public web.
    #[error(
        "{0} is not on the public web; addresses of this host and its networks are not fetched"
    )]
    NotPublic(String),
    /// It redirects for ever.
    #[error("it redirects more than {MAX_REDIRECTS} times")]
    Redirects,
    /// It is no text.
    #[error("it is {0}, not a text")]
    NotText(String),
    /// The network failed.
    #[error("{0}")]
    Network(String),
}

/// Looks a name up and keeps what may be connected to.
struct Guard(Allowed);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|found| allowed(found.ip())).collect();
            if public.is_empty() {
                return Err(Box::new(WebError::NotPublic(name.as_str().to_owned())) as _);
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

impl Client {
    /// A client for the public web.
    ///
    /// # Errors
    ///
    /// When the host has no trusted certificates.
    pub fn new() -> Result<Self, String> {
        Self::to(is_public)
    }

    /// A client that posts: to the public web, or anywhere.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn for_posts(anywhere: bool) -> Result<Self, String> {
        let allowed: Allowed = if anywhere { |_| true } else { is_public };
        Self::to(allowed)
    }

    /// A post to an address that may be asked. Where it redirects to is not followed.
    ///
    /// # Errors
    ///
    /// [`WebError::Address`] and [`WebError::NotPublic`].
    pub fn post(&self, written: &str) -> Result<reqwest::RequestBuilder, WebError> {
        Ok(self.http.post(self.judge(written)?))
    }

    fn to(allowed: Allowed) -> Result<Self, String> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err("no TLS provider is installed".into());
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!(
                "Mozilla/5.0 (compatible; openclaw/",
                env!("CARGO_PKG_VERSION"),
                ")"
            ))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::new(Guard(allowed)))
            .build()
            .map_err(|error| format!("the web cannot be read: {error}"))?;
        Ok(Self { http, allowed })
    }

    /// Reads a page as text.
    ///
    /// # Errors
    ///
    /// [`WebError`].
    pub async fn fetch(&self, written: &str) -> Result<Page, WebError> {
        let accept = "text/html,text/plain,application/json;q=0.9,*/*;q=0.5";
        let (url, response) = self.open(written, accept).await?;
        read(url, response).await
    }

    /// Reads a file; `None` where it has more than so many bytes.
    ///
    /// # Errors
    ///
    /// [`WebError`].
    pub async fn download(&self, written: &str, most: usize) -> Result<Option<Download>, WebError> {
        let whole = async {
            let (url, response) = self.open(written, "*/*").await?;
            if !response.status().is_success() {
                let status = response.status().as_u16();
                return Err(WebError::Network(format!("it answered {status}")));
            }
            let kind = kind(response.headers());
            let mut bytes = Vec::new();
            let mut pieces = response.bytes_stream();
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|error| explain(&error))?;
                if bytes.len() + piece.len() > most {
                    return Ok(None);
                }
                bytes.extend_from_slice(&piece);
            }
            let name = url.path_segments().and_then(|mut parts| parts.next_back());
            let name = name.filter(|name| name.contains('.'));
            Ok(Some(Download {
                name: name.map(str::to_owned),
                kind,
                bytes,
            }))
        };
        let whole = tokio::time::timeout(WHOLE, whole).await;
        whole.unwrap_or_else(|_| Err(WebError::Network("it did not come in time".into())))
    }

    /// Asks for an address, and for where it redirects to.
    async fn open(
        &self,
        written: &str,
        accept: &str,
    ) -> Result<(Url, reqwest::Response), WebError> {
        let mut url = self.judge(written)?;
        for _ in 0..=MAX_REDIRECTS {
            let asked = self.http.get(url.clone()).header("accept", accept);
            let response = asked.send().await.map_err(|error| explain(&error))?;
            if !response.status().is_redirection() {
                return Ok((url, response));
            }
            let target = response
                .headers()
                .get(LOCATION)
                .and_then(|to| to.to_str().ok());
            let target = target.ok_or_else(|| WebError::Network("it redirects nowhere".into()))?;
            let next = url
                .join(target)
                .map_err(|_| WebError::Address(target.to_owned()))?;
            url = self.judge(next.as_str())?;
        }
        Err(WebError::Redirects)
    }

    /// The address, if it may be asked. A number for a host is connected to without a look-up, so it
    /// is judged here; names are judged when they are looked up.
    fn judge(&self, written: &str) -> Result<Url, WebError> {
        let bad = || WebError::Address(written.chars().take(200).collect());
        let mut url = Url::parse(written.trim()).map_err(|_| bad())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad());
        }
        let host = url.host_str().ok_or_else(bad)?.to_owned();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse::<IpAddr>()
            && !(self.allowed)(ip)
        {
            return Err(WebError::NotPublic(host));
        }
        // Credentials in an address are somebody's, and no page needs them.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        Ok(url)
    }
}

async fn read(url: Url, response: reqwest::Response) -> Result<Page, WebError> {
    let status = response.status().as_u16();
    let kind = kind(response.headers());
    let textual = kind.is_empty()
        || kind.starts_with("text/")
        || ["json", "xml", "javascript", "yaml", "toml"]
            .iter()
            .any(|word| kind.contains(word));
    if !textual {
        return Err(WebError::NotText(kind));
    }
    let mut bytes = Vec::new();
    let mut cut = false;
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| explain(&error))?;
        let room = MAX_BYTES - bytes.len();
        bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room {
            cut = true;
            break;
        }
    }
    let body = String::from_utf8_lossy(&bytes);
    let html = kind.contains("html") || (kind.is_empty() && text::looks_like_html(&body));
    let (title, text) = if html {
        text::of_html(&body)
    } else {
        (None, body.into_owned())
    };
    Ok(Page {
        url: url.to_string(),
        status,
        kind,
        title,
        text,
        cut,
    })
}

fn kind(headers: &HeaderMap) -> String {
    let header = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = header.unwrap_or_default().split(';').next();
    kind.unwrap_or_default().trim().to_ascii_lowercase()
}

/// The innermost words of an error; a refusal of ours is itself.
fn explain(error: &reqwest::Error) -> WebError {
    let mut last: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(own) = last.downcast_ref::<WebError>() {
            return own.clone();
        }
        match last.source() {
            Some(source) => last = source,
            None => return WebError::Network(last.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn client(allowed: Allowed) -> Client {
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        Client::to(allowed).unwrap()
    }

    /// Answers each connection with the next of `answers`.
    async fn serve(answers: Vec<String>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for answer in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut asked = [0; 1024];
                let _ = socket.read(&mut asked).await;
                // A client that has enough closes first.
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    fn page(kind: &str, body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n{body}")
    }

    fn redirect(to: &str) -> String {
        format!(
            "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
    }

    /// This host, by one of its addresses and no other.
    fn one(ip: IpAddr) -> bool {
        ip == IpAddr::V4(Ipv4Addr::LOCALHOST)
    }

    #[tokio::test]
    async fn a_page_is_read_as_text_over_redirects() {
        let html = "<html><head><title>A page</title><script>evil()</script></head><body><h1>Hello</h1><p>you &amp; me</p></body></html>";
        let answers = vec![redirect("/next"), page("text/html; charset=utf-8", html)];
        let address = serve(answers).await;
        let page = client(one)
            .fetch(&format!("http://u:p@localhost:{}/#part", address.port()))
            .await;
        let page = page.unwrap();
        assert_eq!(page.title.as_deref(), Some("A page"));
        assert_eq!(page.text, "Hello\n\nyou & me");
        assert_eq!(
            page.url,
            format!("http://localhost:{}/next", address.port())
        );
    }

    #[tokio::test]
    async fn this_host_is_not_fetched_however_it_is_written() {
        let address = serve(vec![]).await;
        let client = client(is_public);
        for host in [
            "127.0.0.1",
            "localhost",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "[::1]",
            "0.0.0.0",
            "[::ffff:127.0.0.1]",
            "169.254.169.254",
            "100.100.100.200",
            "[fd00:ec2::254]",
        ] {
            let url = format!("http://{host}:{}/", address.port());
            let error = client.fetch(&url).await.unwrap_err();
            assert!(matches!(error, WebError::NotPublic(_)), "{host}: {error}");
        }
        for url in [
            "file:///etc/passwd",
            "ftp://example.com/",
            "gopher://x",
            "nonsense",
            "http://",
        ] {
            let error = client.fetch(url).await.unwrap_err();
            assert!(matches!(error, WebError::Address(_)), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn a_redirect_to_another_address_is_judged_again() {
        for target in [
            "http://127.0.0.2/",
            "http://169.254.169.254/latest",
            "http://[::1]/",
            "file:///etc/passwd",
        ] {
            let address = serve(vec![redirect(target)]).await;
            let error = client(one)
                .fetch(&format!("http://{address}/"))
                .await
                .unwrap_err();
            assert!(
                matches!(error, WebError::NotPublic(_) | WebError::Address(_)),
                "{target}: {error}"
            );
        }
        let address = serve(vec![redirect("/again"); MAX_REDIRECTS + 1]).await;
        let error = client(one)
            .fetch(&format!("http://{address}/"))
            .await
            .unwrap_err();
        assert_eq!(error, WebError::Redirects);
    }

    #[tokio::test]
    async fn an_endless_page_is_cut_and_a_picture_is_no_text() {
        let address = serve(vec![
            page("text/plain", &"x".repeat(MAX_BYTES + 1_000)),
            page("image/png", "png"),
        ])
        .await;
        let client = client(one);
        let page = client.fetch(&format!("http://{address}/")).await.unwrap();
        assert!(page.cut);
        assert_eq!(page.text.len(), MAX_BYTES);
        let error = client
            .fetch(&format!("http://{address}/"))
            .await
            .unwrap_err();
        assert_eq!(error, WebError::NotText("image/png".into()));
    }
}
