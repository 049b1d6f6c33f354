//! `models.list`: the models that a person can choose; `models.authStatus`: whether they can be asked.

use std::collections::BTreeMap;

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::models::{
    ModelsAuthStatus, ModelsAuthStatusResult, ModelsList, ModelsListResult, ProviderAuth,
    ProviderAuthStatus,
};

use crate::call::Caller;
use crate::methods::payload;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for ModelsList {
    fn read(views: &Views, _: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        Ok(payload(&ModelsListResult {
            models: views.settings.load().models.clone(),
        }))
    }
}

impl SnapshotMethod for ModelsAuthStatus {
    fn read(views: &Views, _: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        let settings = views.settings.load();
        let mut providers: BTreeMap<&str, Option<&String>> = BTreeMap::new();
        for (reference, model) in &settings.catalogue {
            let provider = reference.split('/').next().unwrap_or_default();
            let problem = model.as_ref().err();
            // One of its models is enough to show that its key is there.
            let known = providers.entry(provider).or_insert(problem);
            *known = known.and(problem);
        }
        let row = |(provider, problem): (&str, Option<&String>)| ProviderAuth {
            provider: provider.to_owned(),
            auth_provider: provider.to_owned(),
            display_name: provider.to_owned(),
            status: match problem {
                None => ProviderAuthStatus::Static,
                Some(_) => ProviderAuthStatus::Missing,
            },
            profiles: Vec::new(),
            reason: problem.cloned(),
        };
        Ok(payload(&ModelsAuthStatusResult {
            ts: views.places.now_ms(),
            providers: providers.into_iter().map(row).collect(),
        }))
    }
}
