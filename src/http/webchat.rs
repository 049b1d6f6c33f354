//! Serves the WebChat page, which the build script embeds in the binary.
//!
//! [`configure`] answers every GET and HEAD that reaches it, so it is registered last: the page's own files, and
//! `index.html` for any other path, because the page routes inside itself (`/chat/<session>`). WebSocket upgrades
//! are routed before, by their `Upgrade` header.
//!
//! **Invariant:** the page runs no inline script or style and can connect nowhere but to its own origin, as
//! [`super::rules`] tells the browser with every answer, and to the gateway that its own address names (`gatewayUrl`),
//! about which the page asks the person first.

use std::path::PathBuf;

use actix_web::{
    Error, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, ContentType, HeaderValue},
    },
    middleware::{Next, from_fn},
    web,
};

use super::{folder, rules};

/// `index.html` names the other files by their hash, so it is asked for again each time (answered 304 by its `ETag`).
const REVALIDATE: &str = "no-cache";

/// Whether a person opened this address, as opposed to a script that fetched it.
pub(super) fn is_navigation(request: &HttpRequest) -> bool {
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

pub(super) use page::a2ui;

pub(super) fn not_found() -> HttpResponse {
    HttpResponse::NotFound()
        .content_type(ContentType::plaintext())
        .body("Not Found")
}

/// Whether and where the page is served: `gateway.controlUi.enabled` and `basePath`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSettings {
    enabled: bool,
    /// Empty, or a path that begins with `/` and does not end with one.
    base: String,
    /// A folder with another UI, in place of the embedded page.
    root: Option<PathBuf>,
}

impl Default for PageSettings {
    fn default() -> Self {
        Self::new(true, None)
    }
}

impl PageSettings {
    /// Takes the base path as people write it, with or without slashes at its ends.
    pub fn new(enabled: bool, base_path: Option<&str>) -> Self {
        let base = base_path.unwrap_or_default().trim_matches('/');
        let base = if base.is_empty() {
            String::new()
        } else {
            format!("/{base}")
        };
        Self {
            enabled,
            base,
            root: None,
        }
    }

    /// Serves the UI in a folder instead of the embedded page (`gateway.controlUi.root`).
    #[must_use]
    pub fn with_root(mut self, root: Option<PathBuf>) -> Self {
        self.root = root;
        self
    }
}

/// Serves the page at its base and below; register it after every other route.
pub fn configure(config: &mut web::ServiceConfig, settings: &PageSettings) {
    if settings.enabled && !settings.base.is_empty() {
        let home = format!("{}/", settings.base);
        let there = move || {
            let moved = HttpResponse::TemporaryRedirect()
                .insert_header((header::LOCATION, home.clone()))
                .finish();
            std::future::ready(moved)
        };
        config.route("/", web::get().to(there.clone()));
        config.route(&settings.base, web::get().to(there));
    }
    if settings.enabled {
        let scope = web::scope(&settings.base);
        let scope = match &settings.root {
            Some(root) => folder::routes(scope, &settings.base, root),
            None => page::routes(scope, &settings.base),
        };
        config.service(scope.wrap(from_fn(keep)));
    }
    config.default_service(web::to(|| async { not_found() }));
}

/// Tells browsers what they may keep.
async fn keep<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let immutable = page::is_immutable(request.match_info().unprocessed());
    let named = rules::named_gateway(request.query_string());
    let mut response = next.call(request).await?;
    let found = response.status().is_success() || response.status().is_redirection();
    let cache = if immutable && found {
        "public, max-age=31536000, immutable"
    } else {
        REVALIDATE
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    // A folder's page has a policy of its own by now.
    if let Some(policy) = named.filter(|_| !headers.contains_key(header::CONTENT_SECURITY_POLICY)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

#[cfg(feature = "webchat")]
mod page {
    use std::{
        collections::BTreeMap,
        sync::{Arc, LazyLock, OnceLock},
    };

    use actix_web::{
        HttpRequest, HttpResponse, Scope,
        http::{
            Method,
            header::{self, ContentType, ETag, EntityTag},
        },
        web,
    };
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

    /// Where the page says what its addresses are relative to.
    const BASE: &str = "<base href=\"/\"";

    /// What is embedded with the page and is none of it: the page of A2UI surfaces, which the canvas host serves.
    const A2UI: &str = "a2ui/";

    /// A file of the page of A2UI surfaces.
    pub(in super::super) fn a2ui(path: &str) -> Option<&'static [u8]> {
        static FILES: LazyLock<BTreeMap<&'static str, &'static [u8]>> = LazyLock::new(|| {
            let files = embedded::generate().into_iter();
            files
                .filter_map(|(path, file)| Some((path.strip_prefix(A2UI)?, file.data)))
                .collect()
        });
        FILES.get(path).copied()
    }

    /// Shared by all workers; the bytes themselves stay where the binary has them.
    static FILES: LazyLock<Files> = LazyLock::new(|| {
        let files = embedded::generate().into_iter();
        let own = files.filter(|(path, _)| !path.starts_with(A2UI));
        let files = own.map(|(path, file)| {
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

    /// The files of a page below `base`; there is one base in the life of the process.
    static FILES_BELOW: OnceLock<(String, Files)> = OnceLock::new();

    fn files(base: &str) -> Files {
        if base.is_empty() {
            return FILES.clone();
        }
        let below = || {
            let files = FILES.0.iter().map(|(path, file)| {
                let data = match (*path, std::str::from_utf8(file.data)) {
                    (INDEX, Ok(text)) => {
                        let moved = text.replacen(BASE, &format!("<base href=\"{base}/\""), 1);
                        // Served until the process ends.
                        Box::leak(moved.into_bytes().into_boxed_slice())
                    }
                    _ => file.data,
                };
                let file = File { data, ..*file };
                (*path, file)
            });
            (base.to_owned(), Files(Arc::new(files.collect())))
        };
        let (known, files) = FILES_BELOW.get_or_init(below);
        if known == base {
            files.clone()
        } else {
            below().1
        }
    }

    pub(super) fn is_immutable(path: &str) -> bool {
        path.trim_start_matches('/').starts_with(HASHED)
    }

    /// The page's files, and the page itself for every other address that a person opens.
    pub(super) fn routes(scope: Scope, base: &str) -> Scope {
        let files = files(base);
        scope
            .app_data(web::Data::new(files.clone()))
            .service(ResourceFiles::new("/", files).skip_handler_when_not_found())
            .default_service(web::to(fallback))
    }

    /// The page routes inside itself, so an address that it made (`/chat/<session>`) must answer with the page when
    /// it is opened or reloaded. A script that asks for something else gets a plain 404 and no page. Below a base
    /// path the files come this way too: `ResourceFiles` looks them up by the whole path of the request.
    async fn fallback(request: HttpRequest, files: web::Data<Files>) -> HttpResponse {
        let inside = request.match_info().unprocessed().trim_start_matches('/');
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if let Some(file) = files.get_resource(inside).filter(|_| reads) {
            let tag = EntityTag::new_strong(format!("{:x}", file.digest));
            if known(&request, &tag) {
                return HttpResponse::NotModified()
                    .insert_header(ETag(tag))
                    .finish();
            }
            return HttpResponse::Ok()
                .insert_header(ETag(tag))
                .content_type(file.mime_type)
                .body(file.data);
        }
        let index = files.get_resource(INDEX);
        match index.filter(|_| super::is_navigation(&request) && !is_immutable(inside)) {
            Some(index) => HttpResponse::Ok()
                .content_type(ContentType::html())
                .body(index.data),
            None => super::not_found(),
        }
    }

    /// Whether the browser has exactly this file already.
    fn known(request: &HttpRequest, tag: &EntityTag) -> bool {
        request
            .headers()
            .get_all(header::IF_NONE_MATCH)
            .any(|value| {
                value
                    .to_str()
                    .is_ok_and(|tags| tags.contains(&tag.to_string()))
            })
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

    /// The page of A2UI surfaces is built with the chat page.
    pub(in super::super) fn a2ui(_path: &str) -> Option<&'static [u8]> {
        None
    }

    /// A note in place of the page.
    pub(super) fn routes(scope: Scope, _base: &str) -> Scope {
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
        http::{
            Method, StatusCode,
            header::{HeaderMap, HeaderName},
        },
        test,
    };

    use super::super::rules::{self, SECURITY_HEADERS};
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
        ask_below("", method, path, headers).await
    }

    async fn ask_below(
        base: &str,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
    ) -> Answer {
        let settings = PageSettings::new(true, Some(base));
        let app = App::new().wrap(from_fn(rules::apply));
        let app = app.configure(|config| configure(config, &settings));
        let app = test::init_service(app).await;
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

    #[actix_web::test]
    async fn a_page_below_a_base_path_is_there_and_nowhere_else() {
        let page = ask_below("/claw/", Method::GET, "/claw/", &[HTML]).await;
        assert_eq!(page.status, StatusCode::OK);
        #[cfg(feature = "webchat")]
        assert!(page.body.contains("<base href=\"/claw/\""), "{}", page.body);
        let inside = ask_below("/claw", Method::GET, "/claw/chat/main", &[HTML]).await;
        assert_eq!(inside.body, page.body);
        for path in ["/", "/claw"] {
            let moved = ask_below("/claw", Method::GET, path, &[HTML]).await;
            assert_eq!(moved.status, StatusCode::TEMPORARY_REDIRECT, "{path}");
            assert_eq!(moved.header(header::LOCATION), "/claw/");
        }
        for path in ["/chat/main", "/clawx", "/assets/x.js"] {
            let elsewhere = ask_below("/claw", Method::GET, path, &[HTML]).await;
            assert_eq!(elsewhere.status, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[actix_web::test]
    async fn a_page_that_is_switched_off_is_not_there() {
        let settings = PageSettings::new(false, None);
        let app = App::new().configure(|config| configure(config, &settings));
        let app = test::init_service(app).await;
        for path in ["/", "/chat/main"] {
            let request = test::TestRequest::get().uri(path).insert_header(HTML);
            let response = test::call_service(&app, request.to_request()).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
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
        async fn its_files_are_served_below_a_base_path_too() {
            let index = ask_below("/claw", Method::GET, "/claw/", &[HTML])
                .await
                .body;
            let path = format!("/claw/{}", first_asset(&index));
            let asset = ask_below("/claw", Method::GET, &path, &[]).await;
            assert_eq!(asset.status, StatusCode::OK);
            assert!(asset.header(header::CACHE_CONTROL).contains("immutable"));
            assert!(asset.header(header::CONTENT_TYPE).contains("javascript"));
            let tag = asset.header(header::ETAG).to_owned();
            let known = [(header::IF_NONE_MATCH, tag.as_str())];
            let again = ask_below("/claw", Method::GET, &path, &known).await;
            assert_eq!(again.status, StatusCode::NOT_MODIFIED);
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
