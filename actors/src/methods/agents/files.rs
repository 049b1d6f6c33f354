//! `agents.files.*`: the files of an agent's workspace that are part of its runs; owner: agent runner,
//! which reads them.
//!
//! A file is named, never a path: these names and no others, and no link is followed on the way.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use actix::Handler;
use openclaw_protocol::methods::agents::{
    AgentFile, AgentsFilesGet, AgentsFilesGetResult, AgentsFilesList, AgentsFilesListResult,
    AgentsFilesSet, AgentsFilesSetResult,
};
use openclaw_protocol::{ErrorShape, Method};

use crate::agent::AgentRunner;
use crate::agent::system::FILES;
use crate::agent::tools::workspace::{self, Root};
use crate::call::{Call, Reply};
use crate::settings::Settings;

/// What clients may read and write besides; listed only where it is there.
const OTHERS: [&str; 4] = ["IDENTITY.md", "TOOLS.md", "HEARTBEAT.md", "BOOTSTRAP.md"];
/// The largest file, bytes.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// The workspace of an agent.
struct Place {
    agent: String,
    folder: PathBuf,
}

impl Place {
    fn of<M: Method>(agent: &str, settings: &Settings) -> Result<Self, ErrorShape> {
        let invalid =
            |problem: String| ErrorShape::invalid(format!("invalid {} params: {problem}", M::NAME));
        let found = settings.agent(agent).ok_or_else(|| {
            invalid(format!(
                "unknown agent id \"{agent}\"; agents.list has the configured ones"
            ))
        })?;
        let folder = found.workspace.clone().ok_or_else(|| {
            invalid(format!(
                "agent \"{agent}\" has no workspace; set agents.defaults.workspace"
            ))
        })?;
        Ok(Self {
            agent: agent.to_owned(),
            folder,
        })
    }

    fn shown(&self) -> String {
        self.folder.display().to_string()
    }

    /// One file, without its text.
    fn file(&self, name: &str) -> AgentFile {
        let path = self.folder.join(name);
        let found = std::fs::symlink_metadata(&path).ok();
        let found = found.filter(std::fs::Metadata::is_file);
        AgentFile {
            name: name.to_owned(),
            path: path.display().to_string(),
            missing: found.is_none(),
            size: found.as_ref().map(std::fs::Metadata::len),
            updated_at_ms: found.as_ref().and_then(modified),
            content: None,
        }
    }

    fn read(&self, name: &str) -> Result<AgentFile, ErrorShape> {
        let mut file = self.file(name);
        // What is there and is no file is a link or a folder, and says so.
        if file.missing && std::fs::symlink_metadata(Path::new(&file.path)).is_err() {
            return Ok(file);
        }
        let bytes = workspace::read(&Root::plain(self.folder.clone()), name)
            .map_err(|error| ErrorShape::invalid(error.to_string()))?;
        if bytes.len() > MAX_BYTES {
            return Err(too_large(name));
        }
        file.size = Some(bytes.len() as u64);
        file.content = Some(String::from_utf8_lossy(&bytes).into_owned());
        Ok(file)
    }

    fn write(&self, name: &str, content: &str) -> Result<AgentFile, ErrorShape> {
        if content.len() > MAX_BYTES {
            return Err(too_large(name));
        }
        workspace::write(&Root::plain(self.folder.clone()), name, content.as_bytes())
            .map_err(|error| ErrorShape::invalid(error.to_string()))?;
        let mut file = self.file(name);
        file.content = Some(content.to_owned());
        Ok(file)
    }
}

fn modified(found: &std::fs::Metadata) -> Option<u64> {
    let since = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

fn too_large(name: &str) -> ErrorShape {
    ErrorShape::invalid(format!(
        "{name} is larger than {} MiB, which is the limit",
        MAX_BYTES / 1024 / 1024
    ))
}

fn known<M: Method>(name: &str) -> Result<(), ErrorShape> {
    if FILES.contains(&name) || OTHERS.contains(&name) {
        return Ok(());
    }
    Err(ErrorShape::invalid(format!(
        "invalid {} params: unsupported file \"{name}\"; there are {}, {}",
        M::NAME,
        FILES.join(", "),
        OTHERS.join(", ")
    )))
}

/// Does the work on the blocking pool, and answers.
fn answer<M: Method>(
    reply: Reply<M>,
    work: impl FnOnce() -> Result<M::Result, ErrorShape> + Send + 'static,
) where
    M::Result: Send + 'static,
{
    actix_rt::spawn(async move {
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.unwrap_or_else(|_| {
            Err(ErrorShape::unavailable(
                "the file could not be reached; try again",
            ))
        });
        reply.settle(done);
    });
}

impl Handler<Call<AgentsFilesList>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<AgentsFilesList>, _: &mut Self::Context) {
        let settings = self.deps.views.settings.load();
        let place = match Place::of::<AgentsFilesList>(&call.params.agent_id, &settings) {
            Ok(place) => place,
            Err(error) => return call.reply.error(error),
        };
        answer(call.reply, move || {
            let always = FILES.iter().map(|name| place.file(name));
            let others = OTHERS.iter().map(|name| place.file(name));
            Ok(AgentsFilesListResult {
                files: always.chain(others.filter(|file| !file.missing)).collect(),
                workspace: place.shown(),
                agent_id: place.agent,
            })
        });
    }
}

impl Handler<Call<AgentsFilesGet>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<AgentsFilesGet>, _: &mut Self::Context) {
        let settings = self.deps.views.settings.load();
        let (agent, name) = (&call.params.agent_id, call.params.name);
        let place = known::<AgentsFilesGet>(&name)
            .and_then(|()| Place::of::<AgentsFilesGet>(agent, &settings));
        let place = match place {
            Ok(place) => place,
            Err(error) => return call.reply.error(error),
        };
        answer(call.reply, move || {
            Ok(AgentsFilesGetResult {
                file: place.read(&name)?,
                workspace: place.shown(),
                agent_id: place.agent,
            })
        });
    }
}

impl Handler<Call<AgentsFilesSet>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<AgentsFilesSet>, _: &mut Self::Context) {
        let settings = self.deps.views.settings.load();
        let params = call.params;
        let place = known::<AgentsFilesSet>(&params.name)
            .and_then(|()| Place::of::<AgentsFilesSet>(&params.agent_id, &settings));
        let place = match place {
            Ok(place) => place,
            Err(error) => return call.reply.error(error),
        };
        answer(call.reply, move || {
            Ok(AgentsFilesSetResult {
                ok: true,
                file: place.write(&params.name, &params.content)?,
                workspace: place.shown(),
                agent_id: place.agent,
            })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_and_no_link_is_followed() {
        let home = tempfile::tempdir().unwrap();
        let place = Place {
            agent: "main".into(),
            folder: home.path().join("workspace"),
        };
        let missing = place.read("SOUL.md").unwrap();
        assert!(missing.missing && missing.content.is_none());
        let written = place.write("SOUL.md", "Be kind.").unwrap();
        assert_eq!((written.missing, written.size), (false, Some(8)));
        assert!(written.updated_at_ms.is_some());
        assert_eq!(
            place.read("SOUL.md").unwrap().content.as_deref(),
            Some("Be kind.")
        );

        let secret = home.path().join("secret");
        std::fs::write(&secret, "s3cret").unwrap();
        std::os::unix::fs::symlink(&secret, place.folder.join("USER.md")).unwrap();
        assert!(place.read("USER.md").is_err());
        let through = place.write("USER.md", "x");
        assert_eq!(
            std::fs::read_to_string(&secret).unwrap(),
            "s3cret",
            "{through:?}"
        );
        let large = place.write("USER.md", &"x".repeat(MAX_BYTES + 1));
        assert!(large.is_err_and(|error| error.message.contains("2 MiB")));
        for name in ["../secret", "notes.md", "AGENTS.md/..", ""] {
            assert!(known::<AgentsFilesGet>(name).is_err(), "{name}");
        }
    }
}
