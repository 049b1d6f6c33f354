//! Writes of the configuration file that clients ask for.

use std::sync::Arc;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use openclaw_protocol::methods::config::{ConfigPatch, ConfigSchemaResult, ConfigWriteResult};
use openclaw_protocol::{ErrorShape, Method};
use serde_json::json;

use super::state::{Draft, Rejected, WRITES_PER_WINDOW, Wish, Written};
use super::{ConfigActor, ConfigSource};
use crate::audit::{AuditRow, Kind};
use crate::call::{Call, Reply};

/// A change that somebody asks for.
#[derive(Debug, Clone)]
pub struct Write {
    /// The hash of the text that it was made for.
    pub base: Option<String>,
    /// What is to be in the file.
    pub wish: Wish,
}

/// A write that is on the disk and not yet in force.
pub(super) struct Waiting {
    written: Written,
    reply: Reply<ConfigPatch>,
}

impl ConfigActor {
    /// The answer to `config.schema`.
    pub(crate) fn schema(&self) -> ConfigSchemaResult {
        self.deps.source.schema()
    }

    /// Settings that only a start can change, as paths.
    pub(crate) fn fixed(&self) -> &[&'static str] {
        self.deps.source.fixed()
    }

    /// Writes, reads what was written, and answers when it is in force.
    pub(crate) fn write<M>(&mut self, call: Call<M>, write: Write, ctx: &mut Context<Self>)
    where
        M: Method<Result = ConfigWriteResult>,
    {
        let Call { caller, reply, .. } = call;
        let who = format!("{} {}", M::NAME, caller.principal());
        if let Err(wait) = self.budget.admit(&who, self.deps.views.places.now_ms()) {
            let seconds = wait.div_ceil(1_000);
            let error = ErrorShape::unavailable(format!(
                "rate limit exceeded for {}; retry after {seconds}s",
                M::NAME
            ));
            return reply.error(error.retry_after(wait).with_details(
                json!({ "method": M::NAME, "limit": format!("{WRITES_PER_WINDOW} per 60s") }),
            ));
        }
        let source = Arc::clone(&self.deps.source);
        // The source takes one write at a time.
        let writing = tokio::task::spawn_blocking(move || {
            let Write { base, wish } = write;
            source.write(base.as_deref(), &wish)
        });
        let reply = reply.cast::<ConfigPatch>();
        ctx.spawn(
            writing
                .into_actor(self)
                .map(move |outcome, config, ctx| match outcome {
                    Ok(Ok(written)) if !written.changed => {
                        reply.ok(&config.result(written));
                    }
                    Ok(Ok(written)) => {
                        let row = AuditRow::new(Kind::ConfigWritten)
                            .caller(&caller)
                            .via(M::NAME)
                            .reason(super::named(&written.paths));
                        config.deps.views.audit.record(&row);
                        config.waiting.push(Waiting { written, reply });
                        config.read(true, ctx);
                    }
                    Ok(Err(error)) => reply.error(error),
                    Err(error) => reply.error(ErrorShape::unavailable(format!(
                        "the configuration was not written: {error}"
                    ))),
                }),
        );
    }

    /// Answers the writes that a reading covers; `wrong` is why it is not in force.
    pub(super) fn answer(&self, waiting: Vec<Waiting>, wrong: Option<&str>) {
        for Waiting { written, reply } in waiting {
            match wrong {
                None => reply.ok(&self.result(written)),
                Some(wrong) => reply.error(ErrorShape::unavailable(format!(
                    "the configuration was written, and somebody changed it right after; the one before stays in force: {wrong}"
                ))),
            }
        }
    }

    fn result(&self, written: Written) -> ConfigWriteResult {
        let settings = self.deps.views.settings.load();
        let config_get = &settings.config_get;
        ConfigWriteResult {
            ok: true,
            noop: (!written.changed).then_some(true),
            path: self.deps.views.places.config_path.clone(),
            config: config_get["config"].clone(),
            hash: config_get["hash"].as_str().unwrap_or_default().to_owned(),
            changed_paths: written.paths,
            needs_restart: self.deps.views.config.load().needs_restart.clone(),
            backup: written.backup,
            warnings: written.warnings,
        }
    }
}

/// The source of a gateway whose configuration is not in a file.
pub struct CannotChange;

impl ConfigSource for CannotChange {
    fn load(&self) -> Result<Draft, Rejected> {
        Err("this gateway was started without a configuration file".into())
    }

    fn write(&self, _: Option<&str>, _: &Wish) -> Result<Written, ErrorShape> {
        Err(ErrorShape::invalid(
            "this gateway was started without a configuration file; start it with `openclaw gateway`",
        ))
    }

    fn schema(&self) -> ConfigSchemaResult {
        ConfigSchemaResult {
            schema: json!({ "type": "object" }),
            ui_hints: std::collections::BTreeMap::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generated_at: "1970-01-01T00:00:00Z".to_owned(),
        }
    }

    fn watch(&self, _: Box<dyn Fn() + Send + Sync>) -> bool {
        false
    }

    fn fixed(&self) -> &[&'static str] {
        &[]
    }
}
