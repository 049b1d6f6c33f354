//! What a form needs beside the schema: names, help and what is secret, by place.

use serde_json::{Map, Value, json};

use super::place::push_key;
use super::redact::is_sensitive_key;

/// Deepest place that gets a hint.
const MAX_DEPTH: usize = 12;

/// One hint for each place of the schema; `*` stands for any key, `[]` for any entry of a list.
pub fn of(schema: &Value) -> Value {
    let mut hints = Map::new();
    let sections = schema["properties"].as_object();
    for (order, (name, section)) in sections.into_iter().flatten().enumerate() {
        let mut walk = Walk {
            hints: &mut hints,
            group: name,
        };
        walk.hint(name, name, section, Some(order));
        walk.inside(name, section, 1);
    }
    Value::Object(hints)
}

struct Walk<'a> {
    hints: &'a mut Map<String, Value>,
    group: &'a str,
}

impl Walk<'_> {
    fn inside(&mut self, path: &str, schema: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        for inner in schema["properties"].as_object().into_iter().flatten() {
            let place = push_key(path, inner.0);
            self.hint(&place, inner.0, inner.1, None);
            self.inside(&place, inner.1, depth + 1);
        }
        let any = &schema["additionalProperties"];
        if any.is_object() {
            let place = format!("{path}.*");
            let name = path.rsplit('.').next().unwrap_or(path);
            if any["description"].is_string() {
                self.hint(&place, name, any, None);
            }
            self.inside(&place, any, depth + 1);
        }
        if schema["items"].is_object() {
            self.inside(&format!("{path}[]"), &schema["items"], depth + 1);
        }
        for alternative in schema["anyOf"].as_array().into_iter().flatten() {
            self.inside(path, alternative, depth + 1);
        }
    }

    fn hint(&mut self, path: &str, name: &str, schema: &Value, order: Option<usize>) {
        let mut hint = json!({ "label": label(name), "group": self.group });
        if let Some(help) = schema["description"].as_str() {
            hint["help"] = help.into();
        }
        if is_sensitive_key(name) || path.ends_with("headers.*") {
            hint["sensitive"] = true.into();
        }
        if let Some(order) = order {
            hint["order"] = order.into();
        }
        self.hints.entry(path.to_owned()).or_insert(hint);
    }
}

/// `baseUrl` as a person writes it: "Base URL".
fn label(name: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for c in name.chars() {
        match words.last_mut() {
            Some(word) if !c.is_ascii_uppercase() => word.push(c),
            _ => words.push(c.to_ascii_lowercase().to_string()),
        }
    }
    for word in &mut words {
        if matches!(
            &**word,
            "url" | "api" | "id" | "ip" | "ui" | "tls" | "http" | "ms"
        ) {
            *word = word.to_ascii_uppercase();
        }
    }
    let mut text = words.join(" ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::Loaded;
    use super::*;

    #[test]
    fn places_have_names_help_and_say_what_is_secret() {
        let hints = of(&Loaded::schema());
        assert_eq!(hints["models.providers.*.baseUrl"]["label"], "Base URL");
        assert_eq!(hints["models.providers.*.apiKey"]["sensitive"], true);
        assert_eq!(hints["gateway.auth.token"]["sensitive"], true);
        assert_eq!(hints["models.providers.*.models[].id"]["group"], "models");
        assert!(hints["agents.defaults.model"]["help"].is_string());
        assert_eq!(hints["gateway.port"].get("sensitive"), None);
        assert!(hints.as_object().unwrap().len() > 60);
    }
}
