//! What is known of the page that the browser shows. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cdp::CdpEvent;

/// Contexts that are kept: a page with more frames is no canvas.
const MAX_CONTEXTS: usize = 256;
/// Longest action of a person on a page, bytes.
const MAX_ACTION: usize = 64 * 1024;
/// The name by which pages of the gateway reach the node.
pub(super) const BINDING: &str = "__openclawCanvasAction";

/// The page, as far as its events tell.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Its frame, the one without a parent.
    pub(super) main: String,
    /// Its address.
    pub(super) url: String,
    /// The load that ended last.
    pub(super) loaded: Option<String>,
    /// Whether it crashed.
    pub(super) crashed: bool,
    contexts: BTreeMap<i64, String>,
}

/// What has to be done about an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// A person did something on a page of the gateway.
    Action(String),
    /// A dialog keeps the page from going on.
    Dialog,
}

impl Page {
    /// The page of this frame.
    pub(super) fn new(main: String) -> Self {
        Self {
            main,
            ..Self::default()
        }
    }

    /// Takes an event. `trusted` is where pages of the gateway are.
    pub(super) fn take(&mut self, event: &CdpEvent, trusted: Option<&str>) -> Effect {
        let params = &event.params;
        match event.method.as_str() {
            "Page.frameNavigated" => {
                let frame = &params["frame"];
                if frame["parentId"].is_null() {
                    self.main = text(&frame["id"]);
                    self.url = text(&frame["url"]);
                }
            }
            "Page.navigatedWithinDocument" if params["frameId"] == self.main.as_str() => {
                self.url = text(&params["url"]);
            }
            "Page.lifecycleEvent"
                if params["name"] == "load" && params["frameId"] == self.main.as_str() =>
            {
                self.loaded = params["loaderId"].as_str().map(str::to_owned);
            }
            "Runtime.executionContextCreated" => {
                let context = &params["context"];
                let plain = context["auxData"]["isDefault"] == true;
                if let (Some(id), true) = (context["id"].as_i64(), plain) {
                    if self.contexts.len() >= MAX_CONTEXTS {
                        self.contexts.clear();
                    }
                    self.contexts
                        .insert(id, text(&context["auxData"]["frameId"]));
                }
            }
            "Runtime.executionContextDestroyed" => {
                if let Some(id) = params["executionContextId"].as_i64() {
                    self.contexts.remove(&id);
                }
            }
            "Runtime.executionContextsCleared" => self.contexts.clear(),
            "Runtime.bindingCalled" => return self.action(params, trusted),
            "Page.javascriptDialogOpening" => return Effect::Dialog,
            "Inspector.targetCrashed" => self.crashed = true,
            _ => {}
        }
        Effect::Nothing
    }

    /// Only the page itself speaks for the person, and only if the gateway serves it: any site that an
    /// agent opens could write to the agent otherwise, and so could a frame of such a site.
    fn action(&self, params: &Value, trusted: Option<&str>) -> Effect {
        let payload = params["payload"].as_str().unwrap_or_default();
        let context = params["executionContextId"].as_i64();
        let own = context.and_then(|id| self.contexts.get(&id)) == Some(&self.main);
        let served = trusted.is_some_and(|base| is_below(&self.url, base));
        if params["name"] == BINDING && own && served && payload.len() <= MAX_ACTION {
            Effect::Action(payload.to_owned())
        } else {
            tracing::debug!(own, served, "an action of a page was not passed on");
            Effect::Nothing
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Whether an address is one of the pages that are served there. The capability in it changes.
fn is_below(url: &str, base: &str) -> bool {
    let origin = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        Some((format!("{scheme}://{host}"), format!("/{path}")))
    };
    match (origin(url), origin(base)) {
        (Some((one, path)), Some((other, _))) => one == other && path.starts_with("/__openclaw__/"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BASE: &str = "http://127.0.0.1:1/__openclaw__/cap/t";

    fn event(method: &str, params: Value) -> CdpEvent {
        CdpEvent {
            method: method.to_owned(),
            params,
        }
    }

    fn shown(url: &str) -> Page {
        let mut page = Page::default();
        let frames = [
            json!({ "id": "m", "url": url }),
            json!({ "id": "f", "parentId": "m", "url": "http://other/" }),
        ];
        for frame in frames {
            page.take(
                &event("Page.frameNavigated", json!({ "frame": frame })),
                None,
            );
        }
        for (id, frame) in [(1, "m"), (2, "f")] {
            let context = json!({ "id": id, "auxData": { "isDefault": true, "frameId": frame } });
            page.take(
                &event(
                    "Runtime.executionContextCreated",
                    json!({ "context": context }),
                ),
                None,
            );
        }
        page
    }

    fn act(page: &mut Page, context: i64) -> Effect {
        let params = json!({ "name": BINDING, "payload": "x", "executionContextId": context });
        page.take(&event("Runtime.bindingCalled", params), Some(BASE))
    }

    #[test]
    fn only_the_gateways_own_page_speaks_for_a_person() {
        let mut page = shown("http://127.0.0.1:1/__openclaw__/cap/other/__openclaw__/a2ui/");
        assert_eq!(act(&mut page, 1), Effect::Action("x".into()));
        assert_eq!(act(&mut page, 2), Effect::Nothing, "a frame in it");
        assert_eq!(
            act(&mut page, 9),
            Effect::Nothing,
            "a context that nobody knows"
        );
        page.take(&event("Runtime.executionContextsCleared", json!({})), None);
        assert_eq!(act(&mut page, 1), Effect::Nothing);
        for url in [
            "http://127.0.0.1:2/__openclaw__/a2ui/",
            "http://127.0.0.1:1/",
            "data:text/html,x",
            "http://127.0.0.1:1.evil/__openclaw__/",
        ] {
            assert_eq!(act(&mut shown(url), 1), Effect::Nothing, "{url}");
        }
    }

    #[test]
    fn a_load_belongs_to_the_page_and_not_to_its_frames() {
        let mut page = shown("about:blank");
        let load = |frame: &str, loader: &str| {
            event(
                "Page.lifecycleEvent",
                json!({ "frameId": frame, "loaderId": loader, "name": "load" }),
            )
        };
        page.take(&load("f", "l1"), None);
        assert_eq!(page.loaded, None);
        page.take(&load("m", "l2"), None);
        assert_eq!(page.loaded.as_deref(), Some("l2"));
    }
}
