//! Another static UI in place of the embedded page (`gateway.controlUi.root`), such as the official Control UI.
//!
//! Its files are read when they are asked for, so a folder that is replaced is served at once. **Invariant:** nothing
//! outside of the folder is read: no segment of a path may be hidden or lead upwards, and what links resolve to is
//! compared with the folder before it is opened.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use actix_web::{
    HttpRequest, HttpResponse, Scope,
    http::{
        Method,
        header::{self, ContentType, HeaderValue},
    },
    web,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// A file of a UI is smaller; a larger one in the folder is something else.
const LARGEST_BYTES: u64 = 64 * 1024 * 1024;

/// What the UI asks for before it connects. It is answered to everybody, so it says nothing that is not in the page.
const FACTS: &str = "control-ui-config.json";

/// A UI's files on the disk, served below `base`.
#[derive(Debug, Clone)]
struct Folder {
    root: PathBuf,
    base: String,
}

/// One file as it is on the disk now.
struct File {
    bytes: Vec<u8>,
    tag: String,
}

/// Routes of the folder: its files, and its `index.html` for every other address that a person opens.
pub(super) fn routes(scope: Scope, base: &str, root: &Path) -> Scope {
    let folder = Folder {
        root: root.to_owned(),
        base: base.to_owned(),
    };
    scope
        .app_data(web::Data::new(folder))
        .default_service(web::route().to(answer))
}

async fn answer(request: HttpRequest, folder: web::Data<Folder>) -> HttpResponse {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return super::webchat::not_found();
    }
    let path = request
        .match_info()
        .unprocessed()
        .trim_start_matches('/')
        .to_owned();
    if path == FACTS {
        return HttpResponse::Ok().json(json!({
            "basePath": folder.base,
            "assistantName": "Assistant",
            "assistantAvatar": null,
            // What the official UI would otherwise offer, or fetch from elsewhere, by itself.
            "allowExternalEmbedUrls": false,
            "automaticallyFetchFavicons": false,
            "cliAgentsEnabled": false,
            "communityInvite": false,
            "embedSandbox": "strict",
            "terminalEnabled": false,
        }));
    }
    let navigated = super::webchat::is_navigation(&request);
    let asked = folder.clone();
    let read = web::block(move || asked.read(&path, navigated)).await;
    match read {
        Ok(Ok(Some((name, file)))) => folder.file(&request, &name, file),
        Ok(Ok(None)) => super::webchat::not_found(),
        Ok(Err(error)) => {
            let root = folder.root.display();
            tracing::warn!(%error, %root, "gateway.controlUi.root cannot be read");
            HttpResponse::InternalServerError()
                .content_type(ContentType::plaintext())
                .body(format!("gateway.controlUi.root ({root}): {error}"))
        }
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

impl Folder {
    /// The file of an address, or the page for an address inside of it.
    fn read(&self, path: &str, navigated: bool) -> io::Result<Option<(String, File)>> {
        if path.is_empty() {
            return index(&self.root).map(Some);
        }
        if let Some(file) = read_below(&self.root, path)? {
            return Ok(Some((path.to_owned(), file)));
        }
        if navigated && !path.starts_with("assets/") {
            return index(&self.root).map(Some);
        }
        Ok(None)
    }

    fn file(&self, request: &HttpRequest, name: &str, file: File) -> HttpResponse {
        let known = request
            .headers()
            .get(header::IF_NONE_MATCH)
            .and_then(|value| value.to_str().ok());
        if known == Some(file.tag.as_str()) {
            return HttpResponse::NotModified()
                .insert_header((header::ETAG, file.tag))
                .finish();
        }
        let mut answer = HttpResponse::Ok();
        answer.insert_header((header::ETAG, file.tag));
        answer.insert_header((header::CONTENT_TYPE, content_type(name)));
        if !is_html(name) {
            return answer.body(file.bytes);
        }
        let text = below(&String::from_utf8_lossy(&file.bytes), &self.base);
        if let Ok(policy) = HeaderValue::from_str(&policy(&text)) {
            answer.insert_header((header::CONTENT_SECURITY_POLICY, policy));
        }
        answer.body(text)
    }
}

pub(super) fn is_html(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("html"))
}

fn index(root: &Path) -> io::Result<(String, File)> {
    let name = "index.html".to_owned();
    let file = read_below(root, &name)?;
    let file =
        file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "holds no index.html"))?;
    Ok((name, file))
}

/// The file at `path` below `root`; `None` when there is none, or when it would be elsewhere.
fn read_below(root: &Path, path: &str) -> io::Result<Option<File>> {
    let plain = |segment: &str| {
        !segment.is_empty() && !segment.starts_with('.') && !segment.contains(['\\', '\0', ':'])
    };
    if !path.split('/').all(plain) {
        return Ok(None);
    }
    let root = root.canonicalize()?;
    let Ok(place) = root.join(path).canonicalize() else {
        return Ok(None);
    };
    if !place.starts_with(&root) {
        return Ok(None);
    }
    let facts = fs::metadata(&place)?;
    if !facts.is_file() || facts.len() > LARGEST_BYTES {
        return Ok(None);
    }
    let bytes = fs::read(&place)?;
    let digest = Sha256::digest(&bytes);
    let tag = format!("\"{}\"", STANDARD.encode(&digest[..12]));
    Ok(Some(File { bytes, tag }))
}

pub(super) fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The page with its own place in it: our page's `<base>`, or the files and the attribute of one that has none, such
/// as the official UI. Without that, an address inside of it (`/chat/...`) would look for its files below itself.
fn below(text: &str, base: &str) -> String {
    let attribute = format!("<html data-openclaw-control-ui-base-path=\"{base}\" ");
    if !text.contains("<base ") {
        let rooted = text
            .replace("src=\"./", &format!("src=\"{base}/"))
            .replace("href=\"./", &format!("href=\"{base}/"));
        return rooted.replacen("<html ", &attribute, 1);
    }
    if base.is_empty() {
        return text.to_owned();
    }
    let moved = text.replacen("<base href=\"/\"", &format!("<base href=\"{base}/\""), 1);
    moved.replacen("<html ", &attribute, 1)
}

/// The content security policy of a foreign page: the owner chose its files, so what it holds inline is let through by
/// its hash, it may style itself, open sockets, and read what it holds itself (`data:`). Frames, plug-ins and scripts of other origins stay out.
fn policy(page: &str) -> String {
    let hashes: Vec<String> = inline_scripts(page)
        .map(|script| {
            let digest = Sha256::digest(script.as_bytes());
            format!(" 'sha256-{}'", STANDARD.encode(digest))
        })
        .collect();
    let hashes = hashes.concat();
    format!(
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'{hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
         media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws: wss: data:; worker-src 'self' blob:; \
         manifest-src 'self'; object-src 'none'; base-uri 'self'; form-action 'none'; frame-src 'none'; frame-ancestors 'none'"
    )
}

/// What stands between `<script ...>` and `</script>` where the tag names no file.
fn inline_scripts(page: &str) -> impl Iterator<Item = &str> {
    page.split("<script").skip(1).filter_map(|part| {
        let (tag, rest) = part.split_once('>')?;
        let (script, _) = rest.split_once("</script>")?;
        (!tag.contains("src=")).then_some(script)
    })
}

#[cfg(test)]
mod tests {
    use actix_web::{App, body::to_bytes, http::StatusCode, middleware::from_fn, test};

    use super::super::{
        rules,
        webchat::{self, PageSettings},
    };
    use super::*;

    const PAGE: &str = "<!doctype html><html lang=\"en\"><head><base href=\"/\" /><script>start()</script>\
        <script src=\"./assets/a.js\"></script></head></html>";

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("ui");
        fs::create_dir_all(root.join("assets")).expect("a folder");
        fs::write(root.join("index.html"), PAGE).expect("a file");
        fs::write(root.join("assets/a.js"), "start()").expect("a file");
        fs::write(root.join(".secret"), "hidden").expect("a file");
        fs::write(folder.path().join("outside.txt"), "outside").expect("a file");
        folder
    }

    async fn ask(root: &Path, base: &str, path: &str) -> (StatusCode, String, String) {
        let settings = PageSettings::new(true, Some(base)).with_root(Some(root.to_owned()));
        let app = App::new().wrap(from_fn(rules::apply));
        let app = app.configure(|config| webchat::configure(config, &settings));
        let app = test::init_service(app).await;
        let request = test::TestRequest::get()
            .uri(path)
            .insert_header((header::ACCEPT, "text/html"));
        let response = test::call_service(&app, request.to_request()).await;
        let status = response.status();
        let policy = response.headers().get(header::CONTENT_SECURITY_POLICY);
        let policy = policy.and_then(|value| value.to_str().ok());
        let policy = policy.unwrap_or_default().to_owned();
        let body = to_bytes(response.into_body()).await.expect("a body");
        (status, policy, String::from_utf8_lossy(&body).into_owned())
    }

    #[actix_web::test]
    async fn the_page_of_the_folder_comes_with_a_policy_for_what_it_holds_inline() {
        let folder = folder();
        let root = folder.path().join("ui");
        for path in ["/", "/chat/main", "/index.html"] {
            let (status, policy, body) = ask(&root, "", path).await;
            assert_eq!((status, body.as_str()), (StatusCode::OK, PAGE), "{path}");
            let hash = STANDARD.encode(Sha256::digest("start()"));
            assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
            assert!(
                !policy.contains("script-src 'self' 'unsafe-inline'"),
                "{policy}"
            );
        }
    }

    #[actix_web::test]
    async fn below_a_base_path_it_is_told_where_it_is() {
        let folder = folder();
        let (_, _, body) = ask(&folder.path().join("ui"), "/claw", "/claw/").await;
        assert!(body.contains("<base href=\"/claw/\""), "{body}");
        assert!(
            body.contains("data-openclaw-control-ui-base-path=\"/claw\""),
            "{body}"
        );
        let (_, _, facts) = ask(
            &folder.path().join("ui"),
            "/claw",
            "/claw/control-ui-config.json",
        )
        .await;
        assert!(facts.contains("\"basePath\":\"/claw\""), "{facts}");
    }

    #[actix_web::test]
    async fn a_page_without_a_base_finds_its_files_from_every_address() {
        let page = "<html lang=\"en\"><link href=\"./a.svg\"><script src=\"./assets/a.js\"></script></html>";
        for (base, lang) in [("", "\"\""), ("/claw", "\"/claw\"")] {
            let expected = format!(
                "<html data-openclaw-control-ui-base-path={lang} lang=\"en\"><link href=\"{base}/a.svg\">\
                 <script src=\"{base}/assets/a.js\"></script></html>"
            );
            assert_eq!(below(page, base), expected);
        }
    }

    #[actix_web::test]
    async fn a_file_is_served_and_keeps_the_strict_policy() {
        let folder = folder();
        let (status, policy, body) = ask(&folder.path().join("ui"), "", "/assets/a.js").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "start()"));
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[actix_web::test]
    async fn nothing_outside_of_the_folder_is_read() {
        let folder = folder();
        let root = folder.path().join("ui");
        std::os::unix::fs::symlink(
            folder.path().join("outside.txt"),
            root.join("assets/link.txt"),
        )
        .expect("a link");
        for path in [
            "/assets/link.txt",
            "/assets/../../outside.txt",
            "/assets/%2e%2e/%2e%2e/outside.txt",
            "/.secret",
            "/assets/..%5c..%5coutside.txt",
        ] {
            let (_, _, body) = ask(&root, "", path).await;
            assert!(
                !body.contains("outside") && !body.contains("hidden"),
                "{path}: {body}"
            );
        }
    }

    #[actix_web::test]
    async fn a_folder_that_is_gone_is_named() {
        let (status, _, body) = ask(Path::new("/nowhere/at/all"), "", "/").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(
            body.contains("gateway.controlUi.root (/nowhere/at/all)"),
            "{body}"
        );
    }
}
