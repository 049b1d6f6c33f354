//! HTTP requests to platforms: how they fail, and answers of a bounded size.

use std::error::Error as _;

/// Why a request has no answer. Never with its address, which may hold a token.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nothing of it left.
    NotSent(String),
    /// It left, and no whole answer came.
    Lost(String),
}

impl Failed {
    /// In words.
    pub(crate) fn why(self) -> String {
        match self {
            Self::NotSent(why) | Self::Lost(why) => why,
        }
    }
}

impl From<reqwest::Error> for Failed {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut words = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            words = inner.to_string();
            source = inner.source();
        }
        if error.is_timeout() {
            "no answer came in time".clone_into(&mut words);
        }
        if error.is_connect() {
            Self::NotSent(words)
        } else {
            Self::Lost(words)
        }
    }
}

/// A whole answer of at most `most` bytes.
pub(crate) async fn whole(mut response: reqwest::Response, most: usize) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > most {
            return Err(Failed::Lost("the answer is too large".into()));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
