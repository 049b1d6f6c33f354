//! The whole way from files to settings, on configurations as people have them.

mod start;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::auth::{AuthConfigError, resolve};
use super::first_start::{FirstStart, load_for_start};
use super::gateway::{AuthMode, Bind, ReloadMode};
use super::redact::{ConfigSnapshot, SENTINEL};
use super::*;

/// A state directory of its own, with an environment of its own.
struct Host {
    dir: tempfile::TempDir,
    env: BTreeMap<&'static str, String>,
    flags: Flags,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            dir,
            env: BTreeMap::new(),
            flags: Flags::default(),
        }
    }

    fn with(config: &str) -> Self {
        let host = Self::new();
        host.write(".openclaw/openclaw.json", config);
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(host.path(".openclaw/openclaw.json"), private).unwrap();
        host
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.env.insert(name, value.to_owned());
        self
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run<T>(
        &self,
        run: impl FnOnce(&LoadRequest<'_>) -> Result<T, ConfigError>,
    ) -> Result<T, String> {
        let env = |name: &str| self.env.get(name).cloned();
        let request = LoadRequest {
            flags: &self.flags,
            env: &env,
            home: Some(self.dir.path()),
        };
        let base = format!("{}/", self.dir.path().display());
        run(&request).map_err(|error| error.to_string().replace(&base, "~/"))
    }

    fn load(&self) -> Result<Loaded, String> {
        self.run(load)
    }

    fn start(&self) -> Result<(Loaded, FirstStart), String> {
        let mut next = 0_u8;
        let mut random = |bytes: &mut [u8]| {
            for byte in bytes {
                next = next.wrapping_mul(31).wrapping_add(7);
                *byte = next;
            }
        };
        self.run(|request| load_for_start(request, &mut random))
    }

    fn auth(&self) -> Result<(AuthMode, Option<String>), AuthConfigError> {
        let auth = resolve(&self.load().unwrap())?;
        let secret = auth.token.or(auth.password);
        Ok((
            auth.mode,
            secret.map(|secret| secret.expose_secret().to_owned()),
        ))
    }
}

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/config")
        .join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "json5")
    });
    files.sort();
    files
}

/// Loads a fixture in place; what it says, without this machine's paths.
fn outcome(file: &Path) -> (Option<Loaded>, String) {
    let host = Host::new()
        .set("OPENCLAW_CONFIG_PATH", file.to_str().unwrap())
        .set("CLAW_TOKEN", "0123456789abcdefghij")
        .set("OPENAI_API_KEY", "sk-openai")
        .set("PROXY_PORT", "4000");
    let folder = format!(
        "{}/",
        file.parent().unwrap().canonicalize().unwrap().display()
    );
    let root = format!("{}/", env!("CARGO_MANIFEST_DIR"));
    match host.load() {
        Ok(loaded) => {
            let lines: Vec<String> = loaded
                .warnings
                .iter()
                .cloned()
                .chain([String::new()])
                .collect();
            (
                Some(loaded),
                lines.join(
                    "
",
                ),
            )
        }
        Err(text) => (
            None,
            format!("{}\n", text.replace(&folder, "").replace(&root, "ROOT/")),
        ),
    }
}

#[test]
fn every_fixture_says_what_is_expected() {
    let mut wrong = Vec::new();
    for (folder, loads) in [("good", true), ("bad", false)] {
        let files = fixtures(folder);
        assert!(files.len() >= 6, "{folder} has fixtures");
        for file in files {
            let (loaded, said) = outcome(&file);
            let expected = fs::read_to_string(file.with_extension("expected")).unwrap_or_default();
            if loaded.is_some() != loads || said != expected {
                wrong.push(format!("--- {}\n{said}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn good(name: &str) -> Loaded {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/config/good")
        .join(name);
    outcome(&file).0.unwrap()
}

#[test]
fn settings_of_several_releases_are_read() {
    let early = good("early-2026.json5").config;
    assert_eq!(
        early.agents.models_of("main").primary.as_deref(),
        Some("anthropic/claude-sonnet-4-5")
    );
    assert_eq!(
        early.agents.defaults.identity.unwrap().name.as_deref(),
        Some("Samantha")
    );
    assert_eq!(
        early.gateway.nodes.denied().collect::<Vec<_>>(),
        ["system.run"]
    );
    assert_eq!(
        (early.gateway.reload.mode, early.gateway.reload.debounce_ms),
        (ReloadMode::Hot, 500)
    );

    let spring = good("spring-2026.json5");
    let token = spring
        .config
        .gateway
        .auth
        .token
        .as_ref()
        .unwrap()
        .secret()
        .unwrap()
        .unwrap();
    assert_eq!(token.expose_secret(), "0123456789abcdefghij");
    assert_eq!(
        spring.config.agents.models_of("main").primary.as_deref(),
        Some("anthropic/claude-sonnet-4-5")
    );
    let proxy = &spring.config.models.providers["custom-proxy"];
    assert_eq!(proxy.base_url.as_deref(), Some("http://localhost:4000/v1"));
    assert_eq!(proxy.models[0].context_window, Some(128_000));
    assert_eq!(spring.section("channels")["discord"]["enabled"], true);

    let autumn = good("autumn-2026.json5").config;
    assert_eq!(autumn.agents.default_id(), "home");
    assert_eq!(autumn.gateway.bind, Bind::Custom);
    assert_eq!(autumn.gateway.limits.tick_interval_ms, 15_000);
    assert_eq!(autumn.gateway.limits.max_payload, 26_214_400);
    assert_eq!(autumn.store.retention.audit_days, 7);

    let included = good("included.json5");
    assert_eq!(included.config.gateway.port, 19000);
    assert_eq!(included.config.agents.list.len(), 2);
    assert_eq!(included.included.len(), 3);
}

#[test]
fn flags_go_over_environment_over_file_over_defaults() {
    let mut host = Host::new();
    assert_eq!(host.load().unwrap().config.gateway.port, 18789);
    host.write(".openclaw/openclaw.json", "{ gateway: { port: 1 } }");
    assert_eq!(host.load().unwrap().config.gateway.port, 1);
    host.write(".openclaw/.env", "OPENCLAW_GATEWAY_PORT=2\n");
    assert_eq!(host.load().unwrap().config.gateway.port, 2);
    host = host.set("OPENCLAW_GATEWAY_PORT", "3");
    assert_eq!(host.load().unwrap().config.gateway.port, 3);
    host.flags.port = Some(0);
    assert_eq!(host.load().unwrap().config.gateway.port, 0);
}

#[test]
fn a_wrong_variable_is_named() {
    let host = Host::new()
        .set("OPENCLAW_GATEWAY_PORT", "70000")
        .set("OPENCLAW_LOG_LEVEL", "loud");
    let error = host.load().unwrap_err();
    let expected = "~/.openclaw/openclaw.json: 2 values are not allowed:\
        \n  gateway.port: 70000 is not allowed; expected a whole number from 0 to 65535 (set by OPENCLAW_GATEWAY_PORT)\
        \n  logging.level: \"loud\" is not allowed; expected \"silent\", \"fatal\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\" (set by OPENCLAW_LOG_LEVEL)";
    assert_eq!(error, expected);
}

#[test]
fn an_error_never_shows_a_secret() {
    let error = Host::with("{ gateway: { auth: { token: 815152342 } } }")
        .load()
        .unwrap_err();
    assert!(
        error.contains("gateway.auth.token: this value is not allowed"),
        "{error}"
    );
    assert!(!error.contains("815"), "{error}");
}

#[test]
fn what_is_shown_holds_no_secret() {
    let host = Host::with(
        "{ // key: 'sk-in-a-comment'\n gateway: { auth: { token: 'tok-0123456789' } },
           models: { providers: { x: { baseUrl: 'https://x.example/v1?key=${X_KEY}', apiKey: '${X_KEY}' } } },
           channels: { telegram: { botToken: '12345:telegram' } } }",
    )
    .set("X_KEY", "sk-from-the-environment")
    .set("OPENCLAW_GATEWAY_PASSWORD", "password-of-the-environment");
    let loaded = host.load().unwrap();
    let snapshot = ConfigSnapshot::of(&loaded);
    let shown = serde_json::to_string(&snapshot).unwrap();
    for secret in [
        "sk-in-a-comment",
        "tok-0123456789",
        "sk-from",
        "12345:telegram",
        "password-of",
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert_eq!(snapshot.config["gateway"]["auth"]["token"], SENTINEL);
    assert_eq!(snapshot.config["gateway"]["port"], 18789);
    assert_eq!(
        snapshot.parsed["models"]["providers"]["x"]["apiKey"],
        "${X_KEY}"
    );
    assert_eq!(snapshot.hash, hash(loaded.raw.as_deref().unwrap()));
    let printed = format!("{loaded:?}");
    assert!(
        printed.contains("SecretInput(plain)") && !printed.contains("tok-0123456789"),
        "{printed}"
    );
}

#[test]
fn a_broken_file_is_shown_as_its_errors_alone() {
    let host = Host::with("{ gateway: { port: 'x', auth: { token: 'tok-0123456789' } } }");
    let snapshot = host.run(|request| {
        let paths = StatePaths::resolve(request.env, request.home, None)?;
        Ok(ConfigSnapshot::invalid(
            &paths,
            hash("x"),
            &load(request).unwrap_err(),
        ))
    });
    let shown = serde_json::to_value(snapshot.unwrap()).unwrap();
    assert_eq!(shown["valid"], false);
    assert_eq!(shown["raw"], Value::Null);
    assert_eq!(shown["issues"][0]["path"], "gateway.port");
    assert!(!shown.to_string().contains("tok-0123456789"));
}

#[test]
fn the_schema_is_there_for_editors() {
    let schema = Loaded::schema();
    assert_eq!(
        schema["properties"]["gateway"]["properties"]["port"]["maximum"],
        65535
    );
    assert!(!schema.to_string().contains("\"null\""));
}

/// JSON5 of the kind that people break: known keys, odd values, directives.
fn odd_config() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "gateway",
        "port",
        "auth",
        "token",
        "mode",
        "agents",
        "list",
        "entries",
        "defaults",
        "model",
        "models",
        "providers",
        "apiKey",
        "$include",
        "env",
        "vars",
        "secrets",
        "source",
        "id",
        "agent",
        "x.y[0]",
    ]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("'${HOME:-x}'".to_owned()),
        Just("'./none.json5'".to_owned()),
        Just("'openclaw.json'".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        r"'[^'\\\n\r\u{2028}\u{2029}]{0,8}'",
        Just("{ source: 'env', id: 'A' }".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|entries| {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| format!("{key:?}: {value}"))
                    .collect();
                format!("{{ {} }}", entries.join(", "))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 2, ..ProptestConfig::default() })]

    #[test]
    fn loading_never_panics(text in prop_oneof![odd_config(), r"\PC{0,200}"]) {
        let host = Host::with(&text);
        if let Ok(loaded) = host.load() {
            resolve(&loaded).ok();
            let snapshot = ConfigSnapshot::of(&loaded);
            prop_assert!(snapshot.valid);
        }
    }
}
