//! Every refusal of the wire protocol, as tables over real sockets: what is answered, and how the
//! socket is closed. A row stands for a line of the protocol's own tables; where we differ from
//! upstream on purpose, the row says so.

mod auth;
mod device;
mod frames;
mod methods;
mod pairing;
mod router;

use serde_json::Value;

/// What a refusal has to look like. What is `None` must not be there.
#[derive(Clone, Copy)]
struct Expected {
    code: &'static str,
    /// The message; with a `*` at its end, how it begins.
    message: &'static str,
    /// `details.code`.
    details: Option<&'static str>,
    /// `details.reason`, or `details.authReason`.
    reason: Option<&'static str>,
    /// `details.recommendedNextStep`.
    next: Option<&'static str>,
}

const fn invalid(message: &'static str) -> Expected {
    Expected {
        code: "INVALID_REQUEST",
        message,
        details: None,
        reason: None,
        next: None,
    }
}

const fn not_paired(message: &'static str) -> Expected {
    Expected {
        code: "NOT_PAIRED",
        ..invalid(message)
    }
}

impl Expected {
    const fn details(mut self, code: &'static str) -> Self {
        self.details = Some(code);
        self
    }

    const fn reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    const fn next(mut self, next: &'static str) -> Self {
        self.next = Some(next);
        self
    }

    /// Checks an error, wherever it came.
    fn check(&self, place: &str, error: &Value) {
        assert_eq!(error["code"], self.code, "{place}: {error}");
        let message = error["message"].as_str().unwrap_or_default();
        match self.message.strip_suffix('*') {
            Some(start) => assert!(message.starts_with(start), "{place}: {message}"),
            None => assert_eq!(message, self.message, "{place}"),
        }
        let details = &error["details"];
        let reason = details["reason"]
            .as_str()
            .or(details["authReason"].as_str());
        assert_eq!(details["code"].as_str(), self.details, "{place}: {error}");
        assert_eq!(reason, self.reason, "{place}: {error}");
        if let Some(next) = self.next {
            assert_eq!(details["recommendedNextStep"], next, "{place}: {error}");
        }
    }

    /// Checks a refused connect: the close is a 1008 whose reason is the message, cut to its place.
    fn closes(&self, place: &str, (error, code, reason): &(Value, u16, String)) {
        self.check(place, error);
        assert_eq!(*code, 1008, "{place}: {reason}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(
            !reason.is_empty()
                && (message.starts_with(reason.as_str()) || reason.starts_with(message)),
            "{place}: closed with {reason:?} after {message:?}"
        );
        assert!(reason.len() <= 123, "{place}: {} bytes", reason.len());
    }
}
