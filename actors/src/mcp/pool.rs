//! The servers that are up, and when one that failed is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::client::Client;
use super::tool::McpTool;
use super::{McpError, ServerSettings};
use crate::agent::tools::Tool;

/// Before the second start of a server that failed.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Between the later ones.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// A server that lived this long did not fail at its start.
const STABLE: Duration = Duration::from_mins(1);

/// An HTTP client, or why there is none; made by the first server that needs it.
pub type Http = Arc<LazyLock<Result<reqwest::Client, String>>>;

/// The servers. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    servers: Arc<Mutex<BTreeMap<String, Arc<AsyncMutex<Server>>>>>,
    http: Http,
}

/// One of them.
struct Server {
    settings: ServerSettings,
    up: Option<Up>,
    failures: u32,
    not_before: Option<Instant>,
}

struct Up {
    client: Arc<Client>,
    tools: Vec<Arc<dyn Tool>>,
    since: Instant,
}

impl Pool {
    /// No server yet.
    pub fn new(http: Http) -> Self {
        Self {
            servers: Arc::default(),
            http,
        }
    }

    /// The tools of the configured servers. Servers that are not up are started, all at once; one
    /// that cannot be is left out, and named in the log. What is no longer configured is ended.
    pub async fn tools(&self, wanted: &BTreeMap<String, ServerSettings>) -> Vec<Arc<dyn Tool>> {
        self.tools_within(wanted, None).await
    }

    /// The same without those of servers that take longer than `patience`. Their start goes on, also
    /// when nobody waits for it any more: who comes later finds them up.
    pub async fn tools_within(
        &self,
        wanted: &BTreeMap<String, ServerSettings>,
        patience: Option<Duration>,
    ) -> Vec<Arc<dyn Tool>> {
        if wanted.is_empty() && self.is_empty() {
            return Vec::new();
        }
        let servers = self.servers(wanted).into_iter().enumerate();
        let mut looking: FuturesUnordered<_> = servers
            .map(|(at, (name, settings, server))| {
                let looking = look(name, settings.clone(), server, Arc::clone(&self.http));
                // A run that is stopped meanwhile does not stop it.
                let looking = tokio::spawn(looking);
                async move { (at, looking.await.unwrap_or_default()) }
            })
            .collect();
        let mut found = BTreeMap::new();
        let all = async {
            while let Some((at, tools)) = looking.next().await {
                found.insert(at, tools);
            }
        };
        match patience {
            None => all.await,
            // What came until then counts.
            Some(patience) => drop(tokio::time::timeout(patience, all).await),
        }
        // Providers refuse two tools of one name, so that an agent with them would not run at all.
        let mut names = BTreeSet::new();
        found
            .into_values()
            .flatten()
            .filter(|tool| {
                let name = tool.descriptor().name;
                let is_new = names.insert(name.clone());
                if !is_new {
                    tracing::warn!(%name, "two MCP servers have a tool that would be called alike; the later one is left out: give its server another name");
                }
                is_new
            })
            .collect()
    }

    fn is_empty(&self) -> bool {
        let servers = self.servers.lock();
        servers.unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn servers<'a>(
        &self,
        wanted: &'a BTreeMap<String, ServerSettings>,
    ) -> Vec<(String, &'a ServerSettings, Arc<AsyncMutex<Server>>)> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|name, _| wanted.contains_key(name));
        let server = |(name, settings): (&String, &'a ServerSettings)| {
            let server = servers
                .entry(name.clone())
                .or_insert_with(|| Arc::new(AsyncMutex::new(Server::new(settings.clone()))));
            (name.clone(), settings, Arc::clone(server))
        };
        wanted.iter().map(server).collect()
    }
}

/// The tools of one server.
async fn look(
    name: String,
    settings: ServerSettings,
    server: Arc<AsyncMutex<Server>>,
    http: Http,
) -> Vec<Arc<dyn Tool>> {
    // One at a time: two runs must not start a server twice.
    let mut server = server.lock().await;
    match server.ready(&name, &settings, &http).await {
        Ok(tools) => tools,
        Err(error) => {
            tracing::warn!(server = %name, %error, "an MCP server cannot be used");
            Vec::new()
        }
    }
}

impl Server {
    const fn new(settings: ServerSettings) -> Self {
        Self {
            settings,
            up: None,
            failures: 0,
            not_before: None,
        }
    }

    async fn ready(
        &mut self,
        name: &str,
        settings: &ServerSettings,
        http: &Http,
    ) -> Result<Vec<Arc<dyn Tool>>, McpError> {
        if self.settings != *settings {
            *self = Self::new(settings.clone());
        }
        if let Some(up) = &self.up {
            if !up.client.is_over() {
                return Ok(up.tools.clone());
            }
            tracing::warn!(server = name, "an MCP server ended");
            if up.since.elapsed() >= STABLE {
                self.failures = 0;
            } else {
                self.failed();
            }
            self.up = None;
        }
        if let Some(left) = self
            .not_before
            .and_then(|at| at.checked_duration_since(Instant::now()))
        {
            let seconds = left.as_secs() + 1;
            return Err(McpError::new(format!(
                "it failed before and is tried again in {seconds} s"
            )));
        }
        let starting = async {
            let client = Arc::new(Client::open(settings, http).await?);
            let listed = client.tools(settings.connect).await?;
            Ok((client, listed))
        };
        // Both together: a first run waits no longer than this.
        let started = tokio::time::timeout(settings.connect, starting).await;
        let started = started.unwrap_or_else(|_| Err(McpError::new("it was not ready in time")));
        match started {
            Ok((client, listed)) => {
                let tools = McpTool::all(name, settings, &client, listed);
                tracing::info!(server = name, tools = tools.len(), "an MCP server is up");
                self.not_before = None;
                self.up = Some(Up {
                    client,
                    tools: tools.clone(),
                    since: Instant::now(),
                });
                Ok(tools)
            }
            Err(error) => {
                self.failed();
                Err(error)
            }
        }
    }

    fn failed(&mut self) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(12));
        self.failures += 1;
        self.not_before = Some(Instant::now() + pause.min(LONGEST_PAUSE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::Reach;

    /// A server in ten lines of shell: it answers the introduction and lists one tool, then dies or
    /// waits.
    fn script(end: &str) -> ServerSettings {
        let body = format!(
            r#"read a; echo '{{"jsonrpc":"2.0","id":1,"result":{{}}}}'; read b; read c
            echo 'not a message'; echo '{{"jsonrpc":"2.0","id":2,"result":{{"tools":[{{"name":"one"}}]}}}}'; {end}"#
        );
        ServerSettings {
            reach: Reach::Program {
                command: "/bin/sh".into(),
                args: vec!["-c".into(), body],
                env: BTreeMap::new(),
                cwd: None,
            },
            connect: Duration::from_secs(10),
            request: Duration::from_secs(10),
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }

    fn pool() -> Pool {
        Pool::new(Arc::new(LazyLock::new(|| Err("no network here".into()))))
    }

    fn wanted(settings: ServerSettings) -> BTreeMap<String, ServerSettings> {
        BTreeMap::from([("s".to_owned(), settings)])
    }

    async fn up(pool: &Pool) -> Option<rustix::process::Pid> {
        let server = pool.servers.lock().unwrap().get("s").cloned()?;
        let server = server.lock().await;
        server.up.as_ref()?.client.program()
    }

    fn lives(group: rustix::process::Pid) -> bool {
        rustix::process::test_kill_process_group(group).is_ok()
    }

    /// Gone is told by the system; how long it takes to notice is not ours.
    async fn gone(group: rustix::process::Pid) {
        let waiting = async {
            while lives(group) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .expect("it ends");
    }

    #[tokio::test]
    async fn a_server_is_started_once_and_ends_with_its_configuration() {
        let pool = pool();
        let settings = wanted(script("exec sleep 1000"));
        let (one, other) = tokio::join!(pool.tools(&settings), pool.tools(&settings));
        for tools in [one, other] {
            assert_eq!(tools[0].descriptor().name, "s__one");
        }
        let first = up(&pool).await.unwrap();
        assert_eq!(pool.tools(&settings).await.len(), 1);
        assert_eq!(up(&pool).await, Some(first), "it was started again");
        // Other settings are another program.
        let mut other = script("exec sleep 1000");
        other.exclude = vec!["one".into()];
        assert!(pool.tools(&wanted(other)).await.is_empty());
        gone(first).await;
        let second = up(&pool).await.unwrap();
        pool.tools(&BTreeMap::new()).await;
        gone(second).await;
    }

    #[tokio::test]
    async fn one_that_fails_is_left_alone_for_a_while_and_then_started_again() {
        let pool = pool();
        let settings = wanted(script("exec sleep 1000"));
        pool.tools(&settings).await;
        let first = up(&pool).await.unwrap();
        rustix::process::kill_process_group(first, rustix::process::Signal::KILL).unwrap();
        let server = pool.servers.lock().unwrap()["s"].clone();
        let client = Arc::clone(&server.lock().await.up.as_ref().unwrap().client);
        let noticed = async {
            while !client.is_over() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), noticed)
            .await
            .unwrap();
        let late = client
            .ask(
                "tools/call",
                &serde_json::Value::Null,
                Duration::from_secs(5),
            )
            .await;
        assert!(late.unwrap_err().to_string().contains("ended"));
        assert!(
            pool.tools(&settings).await.is_empty(),
            "it was started at once"
        );
        assert_eq!(server.lock().await.failures, 1);
        server.lock().await.not_before = None;
        assert_eq!(pool.tools(&settings).await.len(), 1);
    }

    #[tokio::test]
    async fn who_does_not_wait_for_a_slow_server_finds_it_up_later() {
        let pool = pool();
        let mut slow = script("exec sleep 1000");
        let Reach::Program { args, .. } = &mut slow.reach else {
            unreachable!()
        };
        // It waits for a file that the test makes.
        let gate = tempfile::tempdir().unwrap();
        let file = gate.path().join("go");
        args[1] = format!(
            "until [ -e {} ]; do sleep 0.01; done; {}",
            file.display(),
            args[1]
        );
        let mut both = wanted(slow);
        both.insert("quick".into(), script("exec sleep 1000"));
        let patience = Some(Duration::from_secs(2));
        let names = |tools: Vec<Arc<dyn Tool>>| -> Vec<String> {
            tools.iter().map(|tool| tool.descriptor().name).collect()
        };
        assert_eq!(
            names(pool.tools_within(&both, patience).await),
            ["quick__one"]
        );
        std::fs::write(file, "").unwrap();
        assert_eq!(names(pool.tools(&both).await), ["quick__one", "s__one"]);
    }

    #[tokio::test]
    async fn what_cannot_be_started_says_why() {
        let mut server = Server::new(script("true"));
        let http: Http = Arc::new(LazyLock::new(|| Err("no network here".into())));
        let mut nowhere = script("true");
        nowhere.reach = Reach::Program {
            command: "/no/such/program".into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
        };
        let error =
            |result: Result<Vec<Arc<dyn Tool>>, McpError>| result.err().unwrap().to_string();
        let said = error(server.ready("s", &nowhere, &http).await);
        assert!(said.contains("/no/such/program"), "{said}");
        let said = error(server.ready("s", &nowhere, &http).await);
        assert!(said.contains("tried again in"), "{said}");
        let mut dies = script("true");
        dies.reach = Reach::Program {
            command: "/bin/sh".into(),
            args: vec!["-c".into(), "echo no licence >&2; read a; exit 1".into()],
            env: BTreeMap::new(),
            cwd: None,
        };
        let said = error(server.ready("s", &dies, &http).await);
        assert!(said.contains("the program ended"), "{said}");
    }
}
