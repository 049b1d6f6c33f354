//! Layering: defaults < file < environment < flags.
//!
//! The `config` crate merges the layers and nothing else. Each layer is our own [`Source`]: a JSON
//! value, converted without loss in both directions, so that what is validated and decoded is
//! exactly what was written. Its file reader and its deserialiser are not used, because they turn
//! `18789.7` into 18790 and `"yes"` into `true`. The layers hang below one root key, because the
//! crate reads dots and brackets in *top-level* keys of a source as paths; keys below keep their
//! text and case. Objects merge key by key; lists and single values of a later layer replace.

use std::fmt;

use config::{Map as Table, Source, Value as Node, ValueKind};
use serde_json::{Map, Number, Value, json};

use super::environment::Environment;
use super::error::Issue;
use super::redact::SENTINEL;

const ROOT: &str = "openclaw";

/// Settings from the command line; each goes before every other layer.
#[derive(Clone, Default)]
pub struct Flags {
    /// `--port`; 0 lets the system choose.
    pub port: Option<u16>,
    /// `--bind`, checked like `gateway.bind`.
    pub bind: Option<String>,
    /// `--token`; also chooses the mode `token`.
    pub token: Option<String>,
    /// `--password`; also chooses the mode `password`.
    pub password: Option<String>,
    /// `--auth`, checked like `gateway.auth.mode`.
    pub auth_mode: Option<String>,
    /// `--profile`.
    pub profile: Option<String>,
    /// `--adopt-channels`.
    pub adopt_channels: bool,
}

impl fmt::Debug for Flags {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            port,
            bind,
            token,
            password,
            auth_mode,
            profile,
            adopt_channels,
        } = self;
        out.debug_struct("Flags")
            .field("port", port)
            .field("bind", bind)
            .field("token", &token.as_ref().map(|_| SENTINEL))
            .field("password", &password.as_ref().map(|_| SENTINEL))
            .field("auth_mode", auth_mode)
            .field("profile", profile)
            .field("adopt_channels", adopt_channels)
            .finish()
    }
}

/// The variables that set a configuration value: name, path, and whether it is a number.
///
/// A fixed table: a prefix scan would take whatever else is called `OPENCLAW_...` for a setting.
const VARIABLES: &[(&str, &[&str], bool)] = &[
    ("OPENCLAW_GATEWAY_PORT", &["gateway", "port"], true),
    (
        "OPENCLAW_GATEWAY_TOKEN",
        &["gateway", "auth", "token"],
        false,
    ),
    (
        "OPENCLAW_GATEWAY_PASSWORD",
        &["gateway", "auth", "password"],
        false,
    ),
    ("OPENCLAW_GATEWAY_URL", &["gateway", "remote", "url"], false),
    (
        "OPENCLAW_HANDSHAKE_TIMEOUT_MS",
        &["gateway", "limits", "handshakeTimeoutMs"],
        true,
    ),
    (
        "OPENCLAW_MAX_PREAUTH_CONNECTIONS_PER_IP",
        &["gateway", "limits", "maxPreauthConnectionsPerIp"],
        true,
    ),
    ("OPENCLAW_LOG_LEVEL", &["logging", "level"], false),
];

/// The variable that sets `path`, when it is set: then it is the one to mend.
pub(crate) fn variable_for(path: &str, env: &Environment<'_>) -> Option<&'static str> {
    let (name, ..) = VARIABLES
        .iter()
        .find(|(_, keys, _)| keys.join(".") == path)?;
    env.get(name).map(|_| *name)
}

/// The environment's layer, and what in it is not even a number.
pub(crate) fn environment_layer(env: &Environment<'_>) -> (Value, Vec<Issue>) {
    let mut layer = json!({});
    let mut issues = Vec::new();
    for (name, path, numeric) in VARIABLES {
        let Some(text) = env.get(name) else { continue };
        let value = match (numeric, text.trim().parse::<u64>()) {
            (true, Ok(number)) => number.into(),
            (true, Err(_)) => {
                issues.push(Issue::new(
                    path.join("."),
                    format!("{text:?} in {name} is not a whole number"),
                ));
                continue;
            }
            (false, _) => text.into(),
        };
        put(&mut layer, path, value);
    }
    (layer, issues)
}

/// The command line's layer.
pub(crate) fn flag_layer(flags: &Flags) -> Value {
    let mut layer = json!({});
    let mut set = |path: &[&str], value: Option<Value>| {
        if let Some(value) = value {
            put(&mut layer, path, value);
        }
    };
    let implied = match (&flags.token, &flags.password) {
        (Some(_), None) => Some("token".to_owned()),
        (None, Some(_)) => Some("password".to_owned()),
        _ => None,
    };
    set(&["gateway", "port"], flags.port.map(Value::from));
    set(&["gateway", "bind"], flags.bind.clone().map(Value::from));
    set(
        &["gateway", "auth", "token"],
        flags.token.clone().map(Value::from),
    );
    set(
        &["gateway", "auth", "password"],
        flags.password.clone().map(Value::from),
    );
    set(
        &["gateway", "auth", "mode"],
        flags.auth_mode.clone().or(implied).map(Value::from),
    );
    layer
}

/// Merges the layers, the later over the earlier.
///
/// # Errors
///
/// Names what the crate could not hold; with JSON values it has no reason to.
pub(crate) fn merge(layers: Vec<Value>) -> Result<Value, config::ConfigError> {
    let mut builder = config::Config::builder();
    for layer in layers {
        builder = builder.add_source(Layer(layer));
    }
    let mut merged = to_json(builder.build()?.cache);
    Ok(merged.get_mut(ROOT).map(Value::take).unwrap_or_default())
}

fn put(layer: &mut Value, path: &[&str], value: Value) {
    let mut place = layer;
    for key in path {
        place = &mut place[*key];
    }
    *place = value;
}

#[derive(Clone)]
struct Layer(Value);

/// The crate asks for it; the value may hold secrets.
impl fmt::Debug for Layer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Layer")
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Table<String, Node>, config::ConfigError> {
        Ok(Table::from_iter([(ROOT.to_owned(), to_node(&self.0))]))
    }
}

fn to_node(value: &Value) -> Node {
    let kind = match value {
        Value::Null => ValueKind::Nil,
        Value::Bool(value) => ValueKind::Boolean(*value),
        Value::Number(number) => to_number(number),
        Value::String(text) => ValueKind::String(text.clone()),
        Value::Array(items) => ValueKind::Array(items.iter().map(to_node).collect()),
        Value::Object(entries) => ValueKind::Table(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), to_node(value)))
                .collect(),
        ),
    };
    Node::new(None, kind)
}

fn to_number(number: &Number) -> ValueKind {
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(value), ..) => ValueKind::U64(value),
        (None, Some(value), _) => ValueKind::I64(value),
        (None, None, value) => value.map_or(ValueKind::Nil, ValueKind::Float),
    }
}

fn to_json(node: Node) -> Value {
    match node.kind {
        ValueKind::Nil => Value::Null,
        ValueKind::Boolean(value) => value.into(),
        ValueKind::I64(value) => value.into(),
        ValueKind::U64(value) => value.into(),
        // Never made by `to_number`; written out so that the match stays complete.
        ValueKind::I128(value) => i64::try_from(value).map_or(Value::Null, Value::from),
        ValueKind::U128(value) => u64::try_from(value).map_or(Value::Null, Value::from),
        ValueKind::Float(value) => Number::from_f64(value).map_or(Value::Null, Value::Number),
        ValueKind::String(text) => text.into(),
        ValueKind::Array(items) => items.into_iter().map(to_json).collect(),
        ValueKind::Table(entries) => Value::Object(
            entries
                .into_iter()
                .map(|(key, node)| (key, to_json(node)))
                .collect::<Map<_, _>>(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e300..1e300).prop_map(Value::from),
            r"\PC*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(r"[A-Za-z.\[\]0-9 ]*", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn one_layer_comes_out_as_it_went_in(value in json_value()) {
            prop_assert_eq!(merge(vec![value.clone()]).unwrap(), value);
        }
    }

    #[test]
    fn later_layers_win_and_nothing_is_coerced() {
        let file = json!({ "gateway": { "port": 18789.7, "auth": { "token": "a", "Mode": "x" } }, "a.b[0]": "yes" });
        let over = json!({ "gateway": { "auth": { "token": "b" } }, "list": [1] });
        let merged = merge(vec![json!({ "list": [1, 2], "kept": true }), file, over]).unwrap();
        let expected = json!({
            "gateway": { "port": 18789.7, "auth": { "token": "b", "Mode": "x" } },
            "a.b[0]": "yes", "list": [1], "kept": true,
        });
        assert_eq!(merged, expected);
    }

    #[test]
    fn variables_come_from_the_table_alone() {
        let process = |name: &str| match name {
            "OPENCLAW_GATEWAY_PORT" => Some("19000".to_owned()),
            "OPENCLAW_GATEWAY_TOKEN" => Some("t".to_owned()),
            "OPENCLAW_HANDSHAKE_TIMEOUT_MS" => Some("soon".to_owned()),
            "OPENCLAW_GATEWAY_BIND" => Some("lan".to_owned()),
            _ => None,
        };
        let (layer, issues) = environment_layer(&Environment::new(&process));
        assert_eq!(
            layer,
            json!({ "gateway": { "port": 19000, "auth": { "token": "t" } } })
        );
        let texts: Vec<String> = issues.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "gateway.limits.handshakeTimeoutMs: \"soon\" in OPENCLAW_HANDSHAKE_TIMEOUT_MS is not a whole number"
            ]
        );
    }

    #[test]
    fn a_secret_flag_chooses_its_mode() {
        let flags = Flags {
            token: Some("t".to_owned()),
            port: Some(0),
            ..Flags::default()
        };
        assert_eq!(
            flag_layer(&flags),
            json!({ "gateway": { "port": 0, "auth": { "token": "t", "mode": "token" } } })
        );
    }
}
