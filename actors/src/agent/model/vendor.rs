//! Reads the vendors' errors, which all look different, into one [`Fault`].
//!
//! Codes decide first, because statuses are used loosely: Google answers 400 to a wrong key, `OpenAI` 429 to
//! an empty account, Anthropic 400 to a conversation that is too long.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::{Value, json};

use super::error::Fault;

/// What an error's body says.
#[derive(Debug, Default)]
struct Said {
    message: String,
    codes: Vec<String>,
    status: Option<u16>,
    retry_after: Option<Duration>,
}

/// Classifies an answer whose status is an error.
pub(super) fn fault(status: u16, retry_after: Option<Duration>, body: &str) -> Fault {
    let mut said = serde_json::from_str(body)
        .ok()
        .and_then(|value| read(&value))
        .unwrap_or_else(|| Said {
            message: plain(body),
            ..Said::default()
        });
    said.retry_after = retry_after.or(said.retry_after);
    classify(said, Some(status))
}

/// Classifies the `error` of an event: the request had been accepted, so no status says anything.
pub(super) fn in_stream(error: &Value) -> Fault {
    let said = read(&json!({ "error": error })).unwrap_or_default();
    let status = said.status;
    classify(said, status)
}

/// The fault in a document that has an `error`.
pub(super) fn in_document(text: &str) -> Option<Fault> {
    let value: Value = serde_json::from_str(text).ok()?;
    let error = value.get(0).unwrap_or(&value).get("error")?;
    (!error.is_null()).then(|| in_stream(error))
}

/// How long the headers ask to wait: `retry-after-ms`, or `Retry-After` in seconds or as a date. A date is
/// compared with the answer's own `Date`, so that a wrong clock here does not matter.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    if let Some(wait) = number("retry-after-ms") {
        return Duration::try_from_secs_f64(wait / 1000.0).ok();
    }
    if let Some(wait) = number(RETRY_AFTER.as_str()) {
        return Duration::try_from_secs_f64(wait).ok();
    }
    let date = |name: &str| httpdate::parse_http_date(text(name)?).ok();
    let (until, now) = (date(RETRY_AFTER.as_str())?, date(DATE.as_str())?);
    Some(until.duration_since(now).unwrap_or_default())
}

fn read(value: &Value) -> Option<Said> {
    // Google wraps the errors of a stream in an array.
    let outer = value.get(0).unwrap_or(value);
    if !outer.is_object() {
        return None;
    }
    let inner = outer
        .get("error")
        .filter(|error| !error.is_null())
        .unwrap_or(outer);
    let mut said = Said::default();
    if let Some(text) = inner.as_str() {
        text.clone_into(&mut said.message);
    }
    for from in [outer, inner] {
        for name in ["type", "code", "status", "reason"] {
            said.add_code(from.get(name));
        }
    }
    if said.message.is_empty() {
        said.message = ["message", "detail", "error_description"]
            .iter()
            .find_map(|name| inner.get(name).or_else(|| outer.get(name)))
            .map(words)
            .unwrap_or_default();
    }
    // OpenRouter: what the provider behind it said.
    if let Some(raw) = inner.pointer("/metadata/raw").filter(|raw| !raw.is_null()) {
        said.message = format!("{}: {}", said.message, words(raw));
    }
    if inner.pointer("/metadata/reasons").is_some() {
        said.codes.push("moderation".to_owned());
    }
    for detail in inner
        .get("details")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        said.add_code(detail.get("reason"));
        if let Some(delay) = detail.get("retryDelay").and_then(Value::as_str) {
            let seconds = delay.trim_end_matches('s').parse::<f64>().ok();
            said.retry_after = seconds.and_then(|wait| Duration::try_from_secs_f64(wait).ok());
        }
    }
    (!said.message.is_empty() || !said.codes.is_empty()).then_some(said)
}

impl Said {
    fn add_code(&mut self, code: Option<&Value>) {
        match code {
            Some(Value::String(code)) => self.codes.push(code.to_ascii_lowercase()),
            Some(Value::Number(number)) => {
                let status = number
                    .as_u64()
                    .and_then(|number| u16::try_from(number).ok());
                self.status = status
                    .filter(|status| (400..600).contains(status))
                    .or(self.status);
            }
            _ => {}
        }
    }

    fn code(&self, known: &[&str]) -> bool {
        self.codes.iter().any(|code| known.contains(&code.as_str()))
    }

    fn says(&self, known: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        known.iter().any(|words| message.contains(words))
    }
}

fn classify(said: Said, status: Option<u16>) -> Fault {
    let number = status.unwrap_or(0);
    if number == 402 || is_billing(&said) {
        return Fault::Billing {
            detail: said.message,
        };
    }
    if number == 413 || is_context_length(&said) {
        return Fault::ContextLength {
            detail: said.message,
        };
    }
    if said.code(&["content_filter", "content_policy_violation", "moderation"]) {
        return Fault::Refusal {
            detail: said.message,
        };
    }
    if matches!(number, 401 | 403) || is_auth(&said) {
        return Fault::Auth {
            detail: said.message,
        };
    }
    if is_unknown_model(&said, number) {
        return Fault::UnknownModel {
            detail: said.message,
        };
    }
    if number == 429
        || said.code(&[
            "rate_limit_error",
            "rate_limit_exceeded",
            "resource_exhausted",
        ])
    {
        return Fault::RateLimited {
            retry_after: said.retry_after,
            detail: said.message,
        };
    }
    if number == 529 || said.code(&["overloaded_error", "overloaded"]) {
        return Fault::Overloaded {
            retry_after: said.retry_after,
            detail: said.message,
        };
    }
    // An error inside a stream without a known code: what was asked had been accepted by then.
    let server = matches!(number, 408 | 500 | 502..=504 | 520..=599);
    if server || (status.is_none() && !said.code(&["invalid_request_error", "invalid_argument"])) {
        return Fault::Server {
            status,
            retry_after: said.retry_after,
            detail: said.message,
        };
    }
    Fault::BadRequest {
        status,
        detail: said.message,
    }
}

fn is_billing(said: &Said) -> bool {
    said.code(&["insufficient_quota", "billing_error", "billing_not_active"])
        || said.says(&[
            "credit balance is too low",
            "insufficient balance",
            "insufficient credits",
        ])
}

fn is_context_length(said: &Said) -> bool {
    said.code(&[
        "context_length_exceeded",
        "request_too_large",
        "exceed_context_size_error",
    ]) || said.says(&[
        "prompt is too long",
        "maximum context length",
        "maximum prompt length",
        "exceeds the maximum number of tokens",
        "exceed context limit",
        "context window",
        "context size",
        "context length",
        "reduce the length of the messages",
        "too large for model",
    ])
}

fn is_auth(said: &Said) -> bool {
    said.code(&[
        "authentication_error",
        "permission_error",
        "invalid_api_key",
        "api_key_invalid",
        "unauthenticated",
        "permission_denied",
    ]) || said.says(&["incorrect api key", "invalid api key", "api key not valid"])
}

fn is_unknown_model(said: &Said, status: u16) -> bool {
    let named = said.code(&["model_not_found", "model_not_available", "invalid_model"]);
    let refused = matches!(status, 400 | 404);
    let worded = said.says(&[
        "not a valid model",
        "model not found",
        "unknown model",
        "invalid model",
    ]);
    named || (refused && worded) || (status == 404 && said.says(&["model"]))
}

/// The words of a value: a text as it is, validation lists by their messages, anything else as JSON.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let texts = items
                .iter()
                .map(|item| item.get("msg").map_or_else(|| words(item), words));
            texts.collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

/// A body that is no JSON: itself, unless it is a web page.
fn plain(body: &str) -> String {
    let text = body.trim();
    if text.starts_with('<') {
        "it sent a web page".to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(status: u16, body: &str) -> String {
        let text = format!("{:?}", fault(status, None, body));
        text.split([' ', '{']).next().unwrap_or_default().to_owned()
    }

    #[test]
    fn each_vendors_errors_are_told_apart() {
        for (status, want, body) in [
            (
                401,
                "Auth",
                r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            ),
            (
                400,
                "Auth",
                r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
            ),
            (
                400,
                "Auth",
                r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***."}"#,
            ),
            (401, "Auth", "<html>401</html>"),
            (
                429,
                "Billing",
                r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            ),
            (
                400,
                "Billing",
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API"}}"#,
            ),
            (
                402,
                "Billing",
                r#"{"error":{"message":"Insufficient Balance"}}"#,
            ),
            (
                429,
                "RateLimited",
                r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#,
            ),
            (429, "RateLimited", ""),
            (
                529,
                "Overloaded",
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            ),
            (
                503,
                "Server",
                r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#,
            ),
            (502, "Server", "<html><body>Bad gateway</body></html>"),
            (
                400,
                "ContextLength",
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens","code":"context_length_exceeded"}}"#,
            ),
            (
                400,
                "ContextLength",
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            ),
            (
                400,
                "ContextLength",
                r#"{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
            ),
            (
                404,
                "UnknownModel",
                r#"{"error":"model 'llama9' not found"}"#,
            ),
            (
                404,
                "UnknownModel",
                r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}"#,
            ),
            (
                404,
                "UnknownModel",
                r#"{"error":{"message":"The model `gpt-9` does not exist","code":"model_not_found"}}"#,
            ),
            (
                400,
                "UnknownModel",
                r#"{"error":{"message":"gpt-9 is not a valid model ID","code":400}}"#,
            ),
            (
                404,
                "BadRequest",
                r#"{"error":{"message":"No fixture matched","type":"invalid_request_error"}}"#,
            ),
            (404, "BadRequest", "404 page not found"),
            (
                400,
                "Refusal",
                r#"{"error":{"message":"filtered","code":"content_filter"}}"#,
            ),
            (
                403,
                "Refusal",
                r#"{"error":{"message":"flagged","code":403,"metadata":{"reasons":["violence"]}}}"#,
            ),
            (
                422,
                "BadRequest",
                r#"{"object":"error","message":{"detail":[{"msg":"extra"}]},"type":"invalid_request_error"}"#,
            ),
        ] {
            assert_eq!(name(status, body), want, "{body}");
        }
    }

    #[test]
    fn messages_are_found_wherever_vendors_put_them() {
        let detail = |body: &str| match fault(422, None, body) {
            Fault::BadRequest { detail, .. } => detail,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            detail(r#"{"detail":[{"loc":["x"],"msg":"field required"}]}"#),
            "field required"
        );
        assert_eq!(
            detail(
                r#"{"error":{"message":"Provider returned error","metadata":{"raw":"upstream said no"}}}"#
            ),
            "Provider returned error: upstream said no"
        );
        assert_eq!(
            detail(r#"[{"error":{"message":"from an array"}}]"#),
            "from an array"
        );
        assert_eq!(detail("plain words"), "plain words");
    }

    #[test]
    fn retry_after_is_read_from_every_place() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            retry_after(&headers)
        };
        assert_eq!(
            headers(&[("retry-after", "20")]),
            Some(Duration::from_secs(20))
        );
        assert_eq!(
            headers(&[("retry-after", "20"), ("retry-after-ms", "1500")]),
            Some(Duration::from_millis(1500))
        );
        let (until, now) = (
            "Sun, 22 Nov 2026 15:00:30 GMT",
            "Sun, 22 Nov 2026 15:00:00 GMT",
        );
        assert_eq!(
            headers(&[("retry-after", until), ("date", now)]),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            headers(&[("retry-after", now), ("date", until)]),
            Some(Duration::ZERO)
        );
        assert_eq!(headers(&[("retry-after", "soon")]), None);
        assert_eq!(headers(&[("retry-after", "-5")]), None);
        let google = r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"m","details":[{"retryDelay":"34.5s"}]}}"#;
        let wait = Some(Duration::from_millis(34_500));
        assert_eq!(
            fault(429, None, google),
            Fault::RateLimited {
                retry_after: wait,
                detail: "m".into()
            }
        );
    }

    #[test]
    fn an_error_inside_a_stream_is_the_servers_unless_it_says_otherwise() {
        let at = |text: &str| format!("{:?}", in_document(text).unwrap());
        assert!(at(r#"{"error":{"message":"boom","type":"api_error"}}"#).starts_with("Server"));
        assert!(at(r#"{"error":{"message":"boom","code":429}}"#).starts_with("RateLimited"));
        assert!(at(r#"{"error":"model runner has stopped"}"#).starts_with("Server"));
        assert!(in_document(r#"{"error":null,"choices":[]}"#).is_none());
        assert!(in_document("not json").is_none());
    }
}
