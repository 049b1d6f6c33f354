//! `artifacts.*`: files of a conversation, which history names by their ids.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{MAX_ID, MAX_SESSION_KEY};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// The files of a conversation.
    ArtifactsList => "artifacts.list", Access::Operator(Scope::Read), read, ArtifactsListParams => ArtifactsListResult;
    /// One of them, without its bytes.
    ArtifactsGet => "artifacts.get", Access::Operator(Scope::Read), read, ArtifactParams => ArtifactsGetResult;
    /// One of them with its bytes.
    ArtifactsDownload => "artifacts.download", Access::Operator(Scope::Read), read, ArtifactParams => ArtifactsDownloadResult;
}

/// Most files that are listed.
pub const MAX_LISTED: usize = 500;

/// Parameters of `artifacts.list`; unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactsListParams {
    /// The session; files are found by nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub session_key: Option<String>,
    /// The agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
}

/// Parameters of `artifacts.get` and `artifacts.download`; unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactParams {
    /// The session; files are found by nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub session_key: Option<String>,
    /// The agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// The file, as history names it.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub artifact_id: String,
}

/// The newest files of a conversation, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactsListResult {
    /// At most [`MAX_LISTED`].
    pub artifacts: Vec<Artifact>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactsGetResult {
    /// What it is.
    pub artifact: Artifact,
}

/// A file with its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactsDownloadResult {
    /// What it is.
    pub artifact: Artifact,
    /// Always base64.
    pub encoding: ArtifactEncoding,
    /// The bytes.
    pub data: String,
}

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ArtifactEncoding {
    /// Standard base64 with padding.
    Base64,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Names it within its session.
    pub id: String,
    /// `image` or `file`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name for people.
    pub title: String,
    /// MIME type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Its session, by its canonical key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// Number of the message that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_seq: Option<u64>,
    /// How it can be had.
    pub download: ArtifactDownload,
}

/// How a file can be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactDownload {
    /// Always the bytes.
    pub mode: DownloadMode,
}

/// A way to have a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DownloadMode {
    /// `artifacts.download` answers with its bytes.
    #[default]
    Bytes,
}
