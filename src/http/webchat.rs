//! Serves the WebChat page, which the build script embeds in the binary.
//!
//! [`configure`] answers every GET and HEAD that reaches it, so it is registered last: the page's own files, and
//! `index.html` for any other path, because the page routes inside itself (`/chat/<session>`). WebSocket upgrades
//! are routed before, by their `Upgrade` header.
//!
//! **Invariant:** every answer carries the security headers of [`SECURITY_HEADERS`]; the page runs no inline script
//! or style and can connect nowhere but to its own origin.

use actix_web::{
    Error, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, ContentType, HeaderName, HeaderValue},
    },
    middleware::{Next, from_fn},
    web,
};

/// Sent with every answer. `'self'` in `connect-src` covers the WebSocket of the same origin.
const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; \
         connect-src 'self'; worker-src 'self'; manifest-src 'self'; object-src 'none'; base-uri 'self'; \
         form-action 'none'; frame-src 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    (
        header::PERMISSIONS_POLICY,
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// `index.html` names the other files by their hash, so it is asked for again each time (answered 304 by its `ETag`).
const REVALIDATE: &str = "no-cache";

/// Whether a person opened this address, as opposed to a script that fetched it.
fn is_navigation(request: &HttpRequest) -> bool {
    let accepts_html = |value: &HeaderValue| {
        value
            .to_str()
            .is_ok_and(|accepted| accepted.contains("text/html"))
    };
    matches!(*request.method(), Method::GET | Method::HEAD)
        && request
            .headers()
            .get(header::ACCEPT)
            .is_some_and(accepts_html)
}

fn not_found() -> HttpResponse {
    HttpResponse::NotFound()
        .content_type(ContentType::plaintext())
        .body("Not Found")
}

/// Serves the page at `/` and below; register it after every other route.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(page::routes(web::scope("")).wrap(from_fn(harden)));
}

/// Adds the security headers, and `no-cache` where the answer did not choose otherwise.
async fn harden<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let immutable = page::is_immutable(request.path());
    let mut response = next.call(request).await?;
    let found = response.status().is_success() || response.status().is_redirection();
    let cache = if immutable && found {
        "public, max-age=31536000, immutable"
    } else {
        REVALIDATE
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

#[cfg(feature = "webchat")]
mod page {
    use std::{
        collections::BTreeMap,
        sync::{Arc, LazyLock},
    };

    use actix_web::{HttpRequest, HttpResponse, Scope, http::header::ContentType, web};
    use actix_web_static_files::{ResourceFile, ResourceFiles, ResourceFilesCollection};
    use sha2::{Digest as _, Sha256};

    #[expect(
        unreachable_pub,
        reason = "written by static-files for the root of a crate"
    )]
    mod embedded {
        include!(concat!(env!("OUT_DIR"), "/generated.rs"));
    }

    const INDEX: &str = "index.html";
    /// The folder of the files whose names carry their hash.
    const HASHED: &str = "assets/";

    /// One file of the page.
    struct File {
        data: &'static [u8],
        mime_type: &'static str,
        /// Takes the place of the modification time in the `ETag`: two builds may share time and length, and a
        /// packager may set all times to zero, but a new page must never be answered 304.
        digest: u64,
    }

    impl ResourceFile for File {
        fn data(&self) -> &'static [u8] {
            self.data
        }

        fn modified(&self) -> u64 {
            self.digest
        }

        fn mime_type(&self) -> &str {
            self.mime_type
        }
    }

    #[derive(Clone)]
    struct Files(Arc<BTreeMap<&'static str, File>>);

    impl ResourceFilesCollection for Files {
        type Resource = File;

        fn get_resource(&self, path: &str) -> Option<&File> {
            self.0.get(path)
        }

        fn contains_key(&self, path: &str) -> bool {
            self.0.contains_key(path)
        }
    }

    /// Shared by all workers; the bytes themselves stay where the binary has them.
    static FILES: LazyLock<Files> = LazyLock::new(|| {
        let files = embedded::generate().into_iter().map(|(path, file)| {
            let digest = Sha256::digest(file.data)
                .iter()
                .take(8)
                .fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
            let mime_type = file.mime_type;
            let data = file.data;
            (
                path,
                File {
                    data,
                    mime_type,
                    digest,
                },
            )
        });
        Files(Arc::new(files.collect()))
    });

    pub(super) fn is_immutable(path: &str) -> bool {
        path.trim_start_matches('/').starts_with(HASHED)
    }

    /// The page's files, and the page itself for every other address that a person opens.
    pub(super) fn routes(scope: Scope) -> Scope {
        scope
            .service(ResourceFiles::new("/", FILES.clone()).skip_handler_when_not_found())
            .default_service(web::to(fallback))
    }

    /// The page routes inside itself, so an address that it made (`/chat/<session>`) must answer with the page when
    /// it is opened or reloaded. A script that asks for something else gets a plain 404 and no page.
    async fn fallback(request: HttpRequest) -> HttpResponse {
        let index = FILES.get_resource(INDEX);
        match index.filter(|_| super::is_navigation(&request) && !is_immutable(request.path())) {
            Some(index) => HttpResponse::Ok()
                .content_type(ContentType::html())
                .body(index.data),
            None => super::not_found(),
        }
    }
}

#[cfg(not(feature = "webchat"))]
mod page {
    use actix_web::{HttpRequest, HttpResponse, Scope, http::header::ContentType, web};

    const WITHOUT_PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>OpenClaw</title>\
        <h1>The gateway is running</h1><p>This openclaw was built without its WebChat page (cargo feature \
        <code>webchat</code>). Build it again with Node and npm installed, without \
        <code>--no-default-features</code>. Every other client works: try <code>openclaw agent --message hello</code>.";

    pub(super) fn is_immutable(_path: &str) -> bool {
        false
    }

    /// A note in place of the page.
    pub(super) fn routes(scope: Scope) -> Scope {
        scope.default_service(web::to(note))
    }

    async fn note(request: HttpRequest) -> HttpResponse {
        if request.path() == "/" || super::is_navigation(&request) {
            return HttpResponse::Ok()
                .content_type(ContentType::html())
                .body(WITHOUT_PAGE);
        }
        super::not_found()
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App,
        body::to_bytes,
        http::{Method, StatusCode, header::HeaderMap},
        test,
    };

    use super::*;

    struct Answer {
        status: StatusCode,
        headers: HeaderMap,
        body: String,
    }

    impl Answer {
        fn header(&self, name: HeaderName) -> &str {
            self.headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        }
    }

    async fn ask(method: Method, path: &str, headers: &[(HeaderName, &str)]) -> Answer {
        let app = test::init_service(App::new().configure(configure)).await;
        let mut request = test::TestRequest::default().method(method).uri(path);
        for header in headers {
            request = request.insert_header((header.0.clone(), header.1));
        }
        let response = test::call_service(&app, request.to_request()).await;
        let status = response.status();
        let headers = response.headers().clone();
        let body = to_bytes(response.into_body())
            .await
            .expect("a body in memory");
        let body = String::from_utf8_lossy(&body).into_owned();
        Answer {
            status,
            headers,
            body,
        }
    }

    async fn get(path: &str) -> Answer {
        ask(Method::GET, path, &[]).await
    }

    const HTML: (HeaderName, &str) = (header::ACCEPT, "text/html,*/*;q=0.8");

    #[actix_web::test]
    async fn the_root_is_a_page_that_is_asked_for_again_each_time() {
        let answer = get("/").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.header(header::CONTENT_TYPE).starts_with("text/html"));
        assert!(answer.body.to_lowercase().starts_with("<!doctype html>"));
        assert_eq!(answer.header(header::CACHE_CONTROL), REVALIDATE);
    }

    #[actix_web::test]
    async fn head_of_the_root_is_ok() {
        assert_eq!(ask(Method::HEAD, "/", &[]).await.status, StatusCode::OK);
    }

    #[actix_web::test]
    async fn an_address_inside_the_page_answers_with_the_page_to_a_person_only() {
        let opened = ask(Method::GET, "/chat/agent:main:main", &[HTML]).await;
        assert_eq!(opened.status, StatusCode::OK);
        assert!(opened.header(header::CONTENT_TYPE).starts_with("text/html"));
        assert_eq!(
            get("/chat/agent:main:main").await.status,
            StatusCode::NOT_FOUND
        );
        let posted = ask(Method::POST, "/chat/agent:main:main", &[HTML]).await;
        assert_eq!(posted.status, StatusCode::NOT_FOUND);
    }

    #[actix_web::test]
    async fn every_answer_carries_the_security_headers() {
        for path in ["/", "/chat/main", "/assets/gone.js", "/%2e%2e/etc/passwd"] {
            let answer = ask(Method::GET, path, &[HTML]).await;
            for (name, value) in SECURITY_HEADERS {
                assert_eq!(answer.header(name.clone()), value, "{name} of {path}");
            }
        }
    }

    #[actix_web::test]
    async fn the_policy_allows_nothing_inline_and_no_other_origin() {
        let (_, policy) = SECURITY_HEADERS[0];
        for forbidden in ["unsafe", "*", "http:", "https:", "ws:", "wss:"] {
            assert!(!policy.contains(forbidden), "{forbidden}");
        }
    }

    #[cfg(feature = "webchat")]
    mod with_the_page {
        use super::*;

        fn first_asset(index: &str) -> &str {
            let start = index.find("assets/").expect("the page names an asset");
            let name = &index[start..];
            &name[..name.find('"').expect("a quoted name")]
        }

        #[actix_web::test]
        async fn its_hashed_files_are_kept_for_ever() {
            let index = get("/").await.body;
            let asset = get(&format!("/{}", first_asset(&index))).await;
            assert_eq!(asset.status, StatusCode::OK);
            assert!(asset.header(header::CACHE_CONTROL).contains("immutable"));
        }

        #[actix_web::test]
        async fn a_hashed_file_that_is_gone_is_not_the_page() {
            let answer = ask(Method::GET, "/assets/gone-00000000.js", &[HTML]).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND);
            assert_eq!(answer.header(header::CACHE_CONTROL), REVALIDATE);
        }

        #[actix_web::test]
        async fn a_page_that_the_browser_has_is_not_sent_again() {
            let tag = get("/").await.header(header::ETAG).to_owned();
            let again = ask(Method::GET, "/", &[(header::IF_NONE_MATCH, &tag)]).await;
            assert_eq!(again.status, StatusCode::NOT_MODIFIED);
            assert!(again.body.is_empty());
        }

        #[actix_web::test]
        async fn it_holds_no_inline_script_or_style() {
            let index = get("/").await.body;
            assert!(!index.contains("<style"));
            assert!(!index.contains(" style="));
            for script in index.split("<script").skip(1) {
                let tag = script.split('>').next().unwrap_or_default();
                assert!(tag.contains(" src="), "{tag}");
            }
        }
    }
}
