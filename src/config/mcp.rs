//! `mcp`: servers whose tools agents may call.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_actors::mcp::{Reach, ServerSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::place::push_key;
use crate::state_dir::StatePaths;

/// How long a server may take to be ready when nothing is said.
const CONNECT: Duration = Duration::from_secs(30);
/// How long one call may take when nothing is said.
const REQUEST: Duration = Duration::from_mins(1);

/// `mcp`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Mcp {
    /// The servers by name; their tools are called `name__tool`.
    pub servers: BTreeMap<String, Server>,
}

/// `mcp.servers.<name>`: a program (`command`) or an address (`url`).
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Server {
    /// Whether agents may use it.
    pub enabled: bool,
    /// The program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its own variables.
    pub env: BTreeMap<String, Scalar>,
    /// Its folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How it speaks: `stdio` with a program, `streamable-http` with an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// Headers of every request to the address.
    pub headers: BTreeMap<String, Scalar>,
    /// Longest start, in milliseconds; 30 s when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub connection_timeout_ms: Option<f64>,
    /// Longest call, in milliseconds; a minute when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400_000))]
    pub request_timeout_ms: Option<f64>,
    /// Which of its tools agents see.
    pub tool_filter: ToolFilter,
    /// How it authenticates; logins in a browser are not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
}

/// Variables and headers hold secrets.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("enabled", &self.enabled)
            .field("command", &self.command)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            enabled: true,
            command: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            url: None,
            transport: None,
            headers: BTreeMap::new(),
            connection_timeout_ms: None,
            request_timeout_ms: None,
            tool_filter: ToolFilter::default(),
            auth: None,
        }
    }
}

/// A value that is written as a text, a number or a yes or no.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Scalar {
    Text(String),
    Whole(i64),
    Number(f64),
    Flag(bool),
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

/// `mcp.servers.<name>.transport`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// A program's standard input and output.
    Stdio,
    /// The older form of HTTP; not supported.
    Sse,
    /// HTTP.
    StreamableHttp,
}

/// `mcp.servers.<name>.toolFilter`: names of tools, with any number of `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ToolFilter {
    /// Only these.
    pub include: Vec<String>,
    /// Never these.
    pub exclude: Vec<String>,
}

impl Mcp {
    /// The servers that agents may use. One that is configured wrong fails by itself, in words, where
    /// it is used.
    pub fn settings(&self, paths: &StatePaths) -> BTreeMap<String, ServerSettings> {
        let enabled = self.servers.iter().filter(|(_, server)| server.enabled);
        enabled
            .map(|(name, server)| {
                let settings = ServerSettings {
                    reach: server.reach(&push_key("mcp.servers", name), paths),
                    connect: millis(server.connection_timeout_ms, CONNECT),
                    request: millis(server.request_timeout_ms, REQUEST),
                    include: server.tool_filter.include.clone(),
                    exclude: server.tool_filter.exclude.clone(),
                };
                (name.clone(), settings)
            })
            .collect()
    }
}

fn millis(configured: Option<f64>, usual: Duration) -> Duration {
    configured.map_or(usual, |millis| Duration::from_secs_f64(millis / 1_000.0))
}

impl Server {
    fn reach(&self, place: &str, paths: &StatePaths) -> Reach {
        let texts = |values: &BTreeMap<String, Scalar>| {
            let text = |(name, value): (&String, &Scalar)| (name.clone(), value.text());
            values.iter().map(text).collect()
        };
        if let Some(auth) = &self.auth {
            return Reach::Unusable(format!(
                "{place}.auth: \"{auth}\" is not supported; put a token into {place}.headers"
            ));
        }
        match (self.transport, &self.command, &self.url) {
            (Some(Transport::Sse), _, _) => Reach::Unusable(format!(
                "{place}.transport: \"sse\" is the older form of HTTP and not supported; use \"streamable-http\""
            )),
            (None | Some(Transport::Stdio), Some(command), _) => Reach::Program {
                command: command.clone(),
                args: self.args.clone(),
                env: texts(&self.env),
                cwd: self
                    .cwd
                    .as_deref()
                    .map(|cwd| paths.expand(cwd, &paths.state_dir)),
            },
            (None | Some(Transport::StreamableHttp), _, Some(url)) => Reach::Address {
                url: url.clone(),
                headers: texts(&self.headers),
            },
            (Some(Transport::Stdio), None, _) => Reach::Unusable(format!(
                "{place}.command: \"stdio\" needs a program; set it"
            )),
            (Some(Transport::StreamableHttp), _, None) => Reach::Unusable(format!(
                "{place}.url: \"streamable-http\" needs an address; set it"
            )),
            (None, None, None) => Reach::Unusable(format!(
                "{place} names neither a program nor an address; set command or url"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(json5: &str) -> Reach {
        let server: Server = json5::from_str(json5).unwrap();
        let paths = StatePaths::resolve(&|_| None, Some(std::path::Path::new("/home/me")), None);
        server.reach("mcp.servers.x", &paths.unwrap())
    }

    #[test]
    fn servers_are_read_as_existing_configurations_write_them() {
        let program =
            reach("{ command: 'npx', args: ['-y', 'x'], env: { A: 'b', PORT: 1, ON: true } }");
        let Reach::Program { command, env, .. } = program else {
            panic!("a program")
        };
        assert_eq!(command, "npx");
        let env: Vec<&str> = env.values().map(String::as_str).collect();
        assert_eq!(env, ["b", "true", "1"]);
        let address = reach("{ url: 'https://h/mcp', headers: { Authorization: 'Bearer x' } }");
        assert!(matches!(address, Reach::Address { .. }));
    }

    #[test]
    fn what_cannot_be_used_names_its_place_and_remedy() {
        for (written, place) in [
            ("{}", "set command or url"),
            (
                "{ url: 'https://h', transport: 'sse' }",
                "mcp.servers.x.transport",
            ),
            ("{ url: 'https://h', auth: 'oauth' }", "mcp.servers.x.auth"),
            ("{ transport: 'stdio' }", "mcp.servers.x.command"),
            (
                "{ command: 'a', transport: 'streamable-http' }",
                "mcp.servers.x.url",
            ),
        ] {
            let Reach::Unusable(why) = reach(written) else {
                panic!("{written}")
            };
            assert!(why.contains(place), "{why}");
        }
    }
}
