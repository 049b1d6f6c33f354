//! `sessions.preview`: the newest lines of several sessions; owner: sessions.

use actix::Handler;
use openclaw_protocol::methods::message::Message;
use openclaw_protocol::methods::sessions::{
    PreviewItem, PreviewStatus, SessionPreview, SessionsPreview, SessionsPreviewResult,
};

use crate::call::Call;
use crate::methods::store_error;
use crate::sessions::{Sessions, history, keys};

/// Lines of a preview when the client names no number.
const DEFAULT_LINES: usize = 12;
/// Characters of a line when the client names no number.
const DEFAULT_CHARS: usize = 240;

impl Handler<Call<SessionsPreview>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsPreview>, _: &mut Self::Context) {
        let settings = self.deps.views.settings.load();
        let found: Vec<_> = self.deps.index.with(|index| {
            let record = |key: &String| {
                keys::canonical(key, None, &settings)
                    .ok()
                    .and_then(|session| index.get(&session.canonical).cloned())
            };
            call.params
                .keys
                .iter()
                .map(|key| (key.clone(), record(key)))
                .collect()
        });
        let lines = call
            .params
            .limit
            .map_or(DEFAULT_LINES, |lines| lines as usize);
        let chars = call
            .params
            .max_chars
            .map_or(DEFAULT_CHARS, |chars| chars as usize);
        let ts = self.deps.clock.now().wire();
        let reading = self.deps.store.reader().offload(move |reader| {
            let mut previews = Vec::with_capacity(found.len());
            for (key, record) in found {
                let Some(record) = record else {
                    previews.push(SessionPreview {
                        key,
                        status: PreviewStatus::Missing,
                        items: Vec::new(),
                    });
                    continue;
                };
                let rows = history::recent(reader, &record.session_id, 1..record.next_seq, lines)?;
                let items: Vec<PreviewItem> =
                    rows.into_iter().map(|row| item(row, chars)).collect();
                let status = if items.is_empty() {
                    PreviewStatus::Empty
                } else {
                    PreviewStatus::Ok
                };
                previews.push(SessionPreview { key, status, items });
            }
            Ok(previews)
        });
        let reply = call.reply;
        actix_rt::spawn(async move {
            let previews = reading.await.map_err(|error| store_error(&error));
            reply.settle(previews.map(|previews| SessionsPreviewResult { ts, previews }));
        });
    }
}

fn item(mut row: Message, chars: usize) -> PreviewItem {
    row.cut_text(chars);
    let role = serde_json::to_value(row.role)
        .ok()
        .and_then(|role| role.as_str().map(str::to_owned))
        .unwrap_or_default();
    PreviewItem {
        role,
        text: row.plain_text(),
    }
}
