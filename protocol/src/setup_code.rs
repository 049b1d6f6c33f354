//! The text of a setup code: where a gateway is, and a token that pairs one device once.
//!
//! It holds no long-lived secret: the token ends with its first use, or after ten minutes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// What codes may begin with, as a link.
pub const LINK_PREFIX: &str = "oc-pair://";
/// Longest code that is looked at, characters.
const MAX_CODE: usize = 8192;

/// What a setup code says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetupCode {
    /// The gateway's address, `ws://` or `wss://`.
    pub url: String,
    /// Every address, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<Vec<String>>,
    /// The one-time token, for `auth.bootstrapToken` of `connect`.
    pub bootstrap_token: String,
    /// When it ends, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// SHA-256 of the certificate that the gateway has at its own addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_fingerprint: Option<String>,
}

impl std::fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SetupCode({})", self.url)
    }
}

/// A text that is no setup code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a setup code: it is what `openclaw qr` prints, with or without oc-pair://")]
pub struct NotASetupCode;

impl SetupCode {
    /// The code as text, without a prefix.
    pub fn encode(&self) -> String {
        let json = serde_json::to_vec(self).expect("texts and numbers are JSON");
        URL_SAFE_NO_PAD.encode(json)
    }

    /// Reads a code, with or without its prefix.
    ///
    /// # Errors
    ///
    /// [`NotASetupCode`].
    pub fn parse(text: &str) -> Result<Self, NotASetupCode> {
        let text = text.trim();
        let prefixed = text
            .get(..LINK_PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(LINK_PREFIX));
        let code = if prefixed {
            &text[LINK_PREFIX.len()..]
        } else {
            text
        };
        if code.len() > MAX_CODE {
            return Err(NotASetupCode);
        }
        let json = URL_SAFE_NO_PAD.decode(code).map_err(|_| NotASetupCode)?;
        let code: Self = serde_json::from_slice(&json).map_err(|_| NotASetupCode)?;
        let is_address = |url: &str| url.starts_with("ws://") || url.starts_with("wss://");
        let all = code.urls.iter().flatten().chain([&code.url]);
        if code.bootstrap_token.is_empty() || !all.into_iter().all(|url| is_address(url)) {
            return Err(NotASetupCode);
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> SetupCode {
        SetupCode {
            url: "ws://192.168.1.20:18789".into(),
            urls: None,
            bootstrap_token: "one-time".into(),
            expires_at_ms: Some(1_790_000_600_000),
            tls_fingerprint: None,
        }
    }

    #[test]
    fn a_code_is_read_back_with_and_without_its_prefix() {
        let text = code().encode();
        assert!(
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        );
        for form in [
            text.clone(),
            format!(" oc-pair://{text}\n"),
            format!("OC-PAIR://{text}"),
        ] {
            assert_eq!(SetupCode::parse(&form), Ok(code()), "{form}");
        }
    }

    #[test]
    fn a_code_says_nothing_but_the_address_and_the_one_time_token() {
        let json = URL_SAFE_NO_PAD.decode(code().encode()).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["bootstrapToken", "expiresAtMs", "url"]);
        assert!(!format!("{:?}", code()).contains("one-time"));
    }

    #[test]
    fn other_texts_are_no_codes() {
        let with = |change: fn(&mut SetupCode)| {
            let mut code = code();
            change(&mut code);
            code.encode()
        };
        for wrong in [
            String::new(),
            "oc-pair://".into(),
            "oc-pé".into(),
            "not base64!".into(),
            URL_SAFE_NO_PAD.encode("{}"),
            with(|code| code.url = "http://192.168.1.20".into()),
            with(|code| code.urls = Some(vec!["file:///etc/passwd".into()])),
            with(|code| code.bootstrap_token.clear()),
            "A".repeat(MAX_CODE + 1),
        ] {
            assert_eq!(SetupCode::parse(&wrong), Err(NotASetupCode), "{wrong}");
        }
    }
}
