//! Texts with `{{places}}` that a request fills. Pure.

use actix_web::http::header::HeaderMap;
use actix_web::web;
use serde_json::Value;

/// What places can name.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// The body.
    pub(super) payload: &'a Value,
    /// The headers.
    pub(super) headers: &'a HeaderMap,
    /// The query, as it was sent.
    pub(super) query: &'a str,
    /// The path behind that of the hooks.
    pub(super) path: &'a str,
    /// The time, RFC 3339.
    pub(super) now: &'a str,
}

impl Source<'_> {
    /// A text with its places filled; one that names nothing is left out.
    pub(super) fn render(&self, template: &str) -> String {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((before, place)) = rest.split_once("{{") {
            let Some((place, after)) = place.split_once("}}") else {
                break;
            };
            filled.push_str(before);
            filled.push_str(&self.find(place.trim()));
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    fn find(&self, place: &str) -> String {
        match place {
            "" => return String::new(),
            "path" => return self.path.to_owned(),
            "now" => return self.now.to_owned(),
            _ => {}
        }
        if let Some(name) = place.strip_prefix("headers.") {
            let value = self.headers.get(name).and_then(|value| value.to_str().ok());
            // A template must not carry the caller's secret into a conversation.
            let secret = ["authorization", "x-openclaw-token", "cookie"];
            let shown = !secret.iter().any(|other| name.eq_ignore_ascii_case(other));
            return value.filter(|_| shown).unwrap_or_default().to_owned();
        }
        if let Some(name) = place.strip_prefix("query.") {
            let found = pairs(self.query).into_iter().find(|(key, _)| key == name);
            return found.map_or_else(String::new, |(_, value)| value);
        }
        let place = place.strip_prefix("payload.").unwrap_or(place);
        match walk(self.payload, place) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }
}

/// The query, decoded.
fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query);
    pairs.map(web::Query::into_inner).unwrap_or_default()
}

/// The value at a place such as `messages[0].subject`.
fn walk<'a>(payload: &'a Value, place: &str) -> Option<&'a Value> {
    let mut at = payload;
    for part in place.split('.') {
        let (name, mut indices) = part
            .find('[')
            .map_or((part, ""), |open| part.split_at(open));
        if !name.is_empty() {
            at = at.get(name)?;
        }
        while let Some(rest) = indices.strip_prefix('[') {
            let (index, after) = rest.split_once(']')?;
            at = at.get(index.parse::<usize>().ok()?)?;
            indices = after;
        }
        if !indices.is_empty() {
            return None;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    #[test]
    fn places_are_filled_from_the_request_and_nothing_else() {
        let mut headers = HeaderMap::new();
        let mut header = |name: &'static str, value: &'static str| {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        };
        header("x-event-type", "push");
        header("authorization", "Bearer secret");
        let payload = json!({
            "source": "mail", "n": 3, "none": null,
            "messages": [{ "subject": "{{path}}", "to": ["a", "b"] }],
        });
        let source = Source {
            payload: &payload,
            headers: &headers,
            query: "kind=a%20b&kind=c",
            path: "github",
            now: "2026-11-23T04:00:00Z",
        };
        for (template, filled) in [
            ("plain", "plain"),
            ("{{source}} {{ payload.n }}", "mail 3"),
            // What a payload says is no template.
            ("{{messages[0].subject}}", "{{path}}"),
            ("{{messages[0].to[1]}}{{messages[0].to}}", r#"b["a","b"]"#),
            ("{{headers.x-event-type}}/{{query.kind}}", "push/a b"),
            ("{{path}} {{now}}", "github 2026-11-23T04:00:00Z"),
            ("<{{headers.Authorization}}{{none}}{{no.such}}>", "<>"),
            ("{{messages[9].a}}{{messages[x]}}{{messages[0}}{{n.x}}", ""),
            ("open {{n", "open {{n"),
            ("<{{}}>", "<>"),
        ] {
            assert_eq!(source.render(template), filled, "{template}");
        }
    }
}
