//! What holds for every request and every answer: no secret in an address, and headers that bind
//! what a browser may do with what it got.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};
use serde_json::json;

/// Sent with every answer, errors and probes included. `'self'` in `connect-src` covers the
/// WebSocket of the same origin.
pub(super) const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
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

/// Names of query fields that people and older clients put secrets into; compared without case,
/// `-` and `_`.
const SECRET_FIELDS: [&str; 8] = [
    "token",
    "password",
    "accesstoken",
    "authtoken",
    "bootstraptoken",
    "devicetoken",
    "gatewaypassword",
    "gatewaytoken",
];

/// Refuses a request whose address holds a secret; then answers, with the security headers.
pub(super) async fn apply<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let mut response = match secret_field(request.query_string()) {
        Some(field) => {
            // Not the value, and not the path either: it may hold more of the kind.
            tracing::warn!(field, "request refused: a secret in its address");
            request
                .into_response(secret_in_address(field))
                .map_into_right_body()
        }
        None => next.call(request).await?.map_into_left_body(),
    };
    // An upgraded connection is no document.
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let headers = response.headers_mut();
        for (name, value) in SECURITY_HEADERS {
            // A page that the owner put in place of ours comes with a policy of its own.
            if !headers.contains_key(&name) {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        if !headers.contains_key(header::CACHE_CONTROL) {
            let no_store = HeaderValue::from_static("no-store");
            headers.insert(header::CACHE_CONTROL, no_store);
        }
    }
    Ok(response)
}

fn secret_in_address(field: &str) -> HttpResponse {
    let message = format!(
        "the address holds `{field}`: addresses are kept in histories and logs, so secrets are never taken from there; put it behind # instead of ? (as `openclaw dashboard` prints it), or into the connect request, and change a secret that was shown this way"
    );
    HttpResponse::BadRequest()
        .json(json!({ "error": { "message": message, "type": "secret_in_address" } }))
}

/// The policy of a page whose address names another gateway (`gatewayUrl=ws://...`): that one socket more than
/// [`SECURITY_HEADERS`] allow.
pub(super) fn named_gateway(query: &str) -> Option<HeaderValue> {
    let value = query
        .split('&')
        .find_map(|field| field.strip_prefix("gatewayUrl="))?;
    let address = decoded(value).to_ascii_lowercase();
    let (scheme, rest) = address.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    // Nothing else can end a directive of the policy, or widen it.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if !matches!(scheme, "ws" | "wss") || host.is_empty() || !host.bytes().all(plain) {
        return None;
    }
    let (_, policy) = &SECURITY_HEADERS[0];
    let own = "connect-src 'self'";
    let policy = policy.replacen(own, &format!("{own} {scheme}://{host}"), 1);
    HeaderValue::from_str(&policy).ok()
}

/// The field of a query that would hold a secret, by its canonical name.
fn secret_field(query: &str) -> Option<&'static str> {
    query.split(['&', ';']).find_map(|field| {
        let (name, value) = field.split_once('=')?;
        if value.is_empty() {
            return None;
        }
        let name: String = decoded(name)
            .chars()
            .filter(|c| !matches!(c, '-' | '_'))
            .collect();
        let name = name.to_ascii_lowercase();
        SECRET_FIELDS.into_iter().find(|known| *known == name)
    })
}

/// Undoes percent-encoding; what is no encoding stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = (*first == b'%')
            .then(|| std::str::from_utf8(tail.get(..2)?).ok())
            .flatten()
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        if let Some(byte) = code {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_recognised_however_its_field_is_written() {
        for query in [
            "token=x",
            "a=1&token=x",
            "TOKEN=x",
            "%74oken=x",
            "to%6Ben=x",
            "password=x",
            "device_token=x",
            "access-token=x",
            "a;token=x",
            "gatewayToken=x&b=2",
        ] {
            assert!(secret_field(query).is_some(), "{query}");
        }
        for query in [
            "",
            "token",
            "token=",
            "a=token",
            "tokens=5",
            "maxTokens=5",
            "session=agent%3Amain",
            "%=x",
            "%zz=x",
        ] {
            assert_eq!(secret_field(query), None, "{query}");
        }
    }

    #[test]
    fn a_named_gateway_widens_the_policy_by_itself_only() {
        let connect = |query: &str| {
            let policy = named_gateway(query)?;
            let policy = policy.to_str().expect("text").to_owned();
            let (_, rest) = policy.split_once("connect-src ").expect("the directive");
            Some(rest.split_once(';').expect("its end").0.to_owned())
        };
        for (query, sources) in [
            ("gatewayUrl=ws://other:1/", "'self' ws://other:1"),
            (
                "a=1&gatewayUrl=wss%3A%2F%2FOther.Example%2Fclaw%2F",
                "'self' wss://other.example",
            ),
            ("gatewayUrl=ws://[::1]:9", "'self' ws://[::1]:9"),
        ] {
            assert_eq!(connect(query).as_deref(), Some(sources), "{query}");
        }
        for query in [
            "",
            "gatewayUrl=",
            "gatewayUrl=ws://",
            "gatewayUrl=http://other/",
            "gatewayUrl=ws://*/",
            "gatewayUrl=ws://me@other/",
            "gatewayUrl=ws://a%20*/",
            "gatewayUrl=ws://a;script-src%20*/",
            "gatewayUrl=ws://a%0d%0aX:1/",
        ] {
            assert_eq!(connect(query), None, "{query}");
        }
    }
}
