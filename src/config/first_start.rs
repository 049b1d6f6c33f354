//! The first start: a gateway always has a secret, and makes one when nobody else did.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::auth::{OwnSecret, wants_own_secret};
use super::error::ConfigError;
use super::{LoadRequest, Loaded, load};
use crate::state_dir::create_private;

/// What the first start did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FirstStart {
    /// The configuration file that was created.
    pub created: Option<PathBuf>,
    /// Whether this start made the token; then its address may be shown once, on stdout only.
    pub made_token: bool,
    /// What to tell the person who started the gateway.
    pub notices: Vec<String>,
}

/// Makes the directories, loads the configuration, and makes a token when it needs one.
///
/// Without `openclaw.json` the token goes into a new one; an existing file is left alone, and the
/// token goes into a file of our own. `random` fills a buffer with unpredictable bytes.
///
/// # Errors
///
/// [`ConfigError`], as [`load`].
pub fn load_for_start(
    request: &LoadRequest<'_>,
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<(Loaded, FirstStart), ConfigError> {
    let loaded = load(request)?;
    let mut first = FirstStart::default();
    first.notices.extend(loaded.paths.ensure()?);
    first.notices.extend(loaded.paths.config_exposure());
    let wanted = wants_own_secret(&loaded.config).filter(|_| loaded.own_token.is_none());
    let Some(wanted) = wanted else {
        return Ok((loaded, first));
    };
    let mut bytes = [0; 32];
    random(&mut bytes);
    let token = URL_SAFE_NO_PAD.encode(bytes);
    let config_path = loaded.paths.config_path.clone();
    if wanted == OwnSecret::Owner {
        // Nobody types it: the command line of the same user reads it from there.
        create_private(&loaded.paths.token_file(), format!("{token}\n").as_bytes())?;
    } else if loaded.raw.is_none() {
        if create_private(&config_path, new_config(&token).as_bytes())? {
            first.made_token = true;
            first.created = Some(config_path);
        }
    } else {
        let token_file = loaded.paths.token_file();
        first.made_token = create_private(&token_file, format!("{token}\n").as_bytes())?;
        first.notices.push(format!(
            "{} has no gateway.auth; using the token in {}. To keep it in your configuration, add: \
             gateway: {{ auth: {{ mode: \"token\", token: \"<content of that file>\" }} }}",
            config_path.display(),
            token_file.display()
        ));
    }
    Ok((load(request)?, first))
}

fn new_config(token: &str) -> String {
    format!(
        "// Configuration of the OpenClaw gateway, made at its first start. The format is JSON5.\n\
         // Whoever has the token below can use this gateway: keep this file private.\n\
         {{\n  \"gateway\": {{\n    \"auth\": {{\n      \"mode\": \"token\",\n      \"token\": \"{token}\"\n    }}\n  }}\n}}\n"
    )
}
