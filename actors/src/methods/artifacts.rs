//! `artifacts.*`: files of a conversation; owner: sessions, whose rows say which files are whose.

use std::ops::ControlFlow;

use actix::Handler;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openclaw_protocol::methods::artifacts::{
    Artifact, ArtifactDownload, ArtifactEncoding, ArtifactParams, ArtifactsDownload,
    ArtifactsDownloadResult, ArtifactsGet, ArtifactsGetResult, ArtifactsList, ArtifactsListResult,
    MAX_LISTED,
};
use openclaw_protocol::{ErrorShape, Method};
use serde_json::json;

use crate::call::{Call, Reply};
use crate::media::{BlobId, Blobs, Kind, MediaRow, Reader, Readers};
use crate::methods::store_error;
use crate::sessions::record::Record;
use crate::sessions::{Sessions, keys as session_keys};
use crate::store::{StoreError, StoreReader, Table, keys, rows};

/// A session, where files are looked for.
struct Place {
    record: Option<Record>,
    reader: StoreReader,
    media: Blobs,
}

/// A file that was found.
struct Found {
    artifact: Artifact,
    id: BlobId,
}

impl Sessions {
    fn place(&self, key: Option<&str>, agent: Option<&str>) -> Result<Place, ErrorShape> {
        let key = key.ok_or_else(|| {
            ErrorShape::invalid("files are found by their session; give `sessionKey`")
                .with_details(json!({ "type": "artifact_query_unsupported" }))
        })?;
        let settings = self.deps.views.settings.load();
        let session = session_keys::canonical(key, agent, &settings)
            .map_err(|error| ErrorShape::invalid(error.to_string()))?;
        let index = &self.deps.index;
        Ok(Place {
            record: index.with(|index| index.get(&session.canonical).cloned()),
            reader: self.deps.store.reader().clone(),
            media: self.deps.media.clone(),
        })
    }

    fn one<M: Method>(
        &self,
        params: &ArtifactParams,
        reply: Reply<M>,
        turn: Option<Reader>,
        finish: impl FnOnce(&Blobs, Found) -> Result<M::Result, ErrorShape> + Send + 'static,
    ) {
        let place = self.place(params.session_key.as_deref(), params.agent_id.as_deref());
        let place = match place {
            Ok(place) => place,
            Err(error) => return reply.error(error),
        };
        let wanted = params.artifact_id.clone();
        let reader = place.reader.clone();
        let look = move |_: &StoreReader| {
            let found = match place.find(&wanted) {
                Ok(Some(found)) => finish(&place.media, found),
                Ok(None) => Err(unknown(&wanted)),
                Err(error) => Err(store_error(&error)),
            };
            reply.settle(found);
            Ok(())
        };
        // Nobody waits for it: a reply that is dropped on the way answers for itself.
        let Some(turn) = turn else {
            return drop(reader.offload(look));
        };
        actix_rt::spawn(async move {
            let _turn = turn.turn().await;
            let _ = reader.offload(look).await;
        });
    }
}

fn too_many() -> ErrorShape {
    ErrorShape::unavailable(format!(
        "{} downloads of files are under way, which is the limit of this gateway; ask for this one again when others have come",
        Readers::MOST
    ))
    .retry_after(1_000)
}

fn unknown(id: &str) -> ErrorShape {
    ErrorShape::invalid(
        "artifact not found; chat.history and artifacts.list name those of a session",
    )
    .with_details(json!({ "type": "artifact_not_found", "artifactId": id }))
}

impl Place {
    /// The file of that name, of the present conversation or one that was set aside.
    fn find(&self, artifact_id: &str) -> Result<Option<Found>, StoreError> {
        let (Some(record), Some(id)) = (&self.record, BlobId::of_artifact(artifact_id)) else {
            return Ok(None);
        };
        let past = record.past.iter().rev().map(|past| &past.session_id);
        for session_id in [&record.session_id].into_iter().chain(past) {
            let key = keys::media(session_id, id.hash());
            if let Some(row) = self.reader.get_json::<MediaRow>(Table::Media, &key)? {
                let artifact = artifact(record, id, row);
                return Ok(Some(Found { artifact, id }));
            }
        }
        Ok(None)
    }

    fn list(&self) -> Result<Vec<Artifact>, StoreError> {
        let Some(record) = &self.record else {
            return Ok(Vec::new());
        };
        let range = keys::transcript_all(&record.session_id);
        let mut found = Vec::new();
        let mut outcome = Ok(());
        let scanned = range.start.as_slice()..range.end.as_slice();
        self.reader
            .scan(Table::Media, scanned, false, |key, value| {
                let row = rows::decode::<MediaRow>(Table::Media, value);
                match (row, keys::media_hash(key)) {
                    (Ok(row), Some(hash)) => {
                        found.push(artifact(record, BlobId::from_hash(hash), row));
                        ControlFlow::Continue(())
                    }
                    (Ok(_), None) => ControlFlow::Continue(()),
                    (Err(error), _) => {
                        outcome = Err(error);
                        ControlFlow::Break(())
                    }
                }
            })?;
        outcome?;
        found.sort_by_key(|file| file.message_seq);
        let surplus = found.len().saturating_sub(MAX_LISTED);
        found.drain(..surplus);
        Ok(found)
    }
}

fn artifact(record: &Record, id: BlobId, row: MediaRow) -> Artifact {
    let kind = match Kind::of_mime(&row.mime) {
        Kind::Image => "image",
        Kind::Document | Kind::Text => "file",
    };
    Artifact {
        id: id.artifact_id(),
        kind: kind.into(),
        title: row.name,
        mime_type: Some(row.mime),
        size_bytes: Some(row.bytes),
        session_key: Some(record.key.to_string()),
        message_seq: Some(row.seq),
        download: ArtifactDownload::default(),
    }
}

impl Handler<Call<ArtifactsList>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<ArtifactsList>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let place = self.place(params.session_key.as_deref(), params.agent_id.as_deref());
        let place = match place {
            Ok(place) => place,
            Err(error) => return reply.error(error),
        };
        let reader = place.reader.clone();
        drop(reader.offload(move |_| {
            let listed = place.list().map_err(|error| store_error(&error));
            reply.settle(listed.map(|artifacts| ArtifactsListResult { artifacts }));
            Ok(())
        }));
    }
}

impl Handler<Call<ArtifactsGet>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<ArtifactsGet>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        self.one(&params, reply, None, |_, found| {
            let artifact = found.artifact;
            Ok(ArtifactsGetResult { artifact })
        });
    }
}

impl Handler<Call<ArtifactsDownload>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<ArtifactsDownload>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let Some(reader) = self.deps.media.readers().admit() else {
            return reply.error(too_many());
        };
        self.one(&params, reply, Some(reader), |media, found| {
            let bytes = media.get(&found.id).map_err(|error| {
                tracing::warn!(%error, "a file of a conversation cannot be read");
                ErrorShape::unavailable(
                    "the bytes of this file cannot be read; the gateway's log says why",
                )
            })?;
            Ok(ArtifactsDownloadResult {
                artifact: found.artifact,
                encoding: ArtifactEncoding::Base64,
                data: STANDARD.encode(bytes),
            })
        });
    }
}
