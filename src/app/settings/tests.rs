use std::fs;
use std::time::Duration;

use openclaw_actors::sessions::passing::Passing;
use openclaw_actors::settings::Settings;
use openclaw_protocol::methods::models::UnavailableReason;

use crate::config::models::AuthProfiles;
use crate::config::{Environment, Flags, LoadRequest, load};

fn of(config: &str) -> Settings {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join(".openclaw");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("openclaw.json"), config).unwrap();
    let env = |_: &str| None;
    let loaded = load(&LoadRequest {
        flags: &Flags::default(),
        env: &env,
        home: Some(home.path()),
    })
    .unwrap();
    super::settings(&loaded, &Environment::new(&env), &AuthProfiles::default())
}

#[test]
fn how_long_conversations_of_programs_stay() {
    let day = Duration::from_hours(24);
    let usual = Passing {
        requests: Some(30 * day),
        most: 500,
        jobs: Some(day),
    };
    assert_eq!(of("{}").passing, usual);
    let own = "{ session: { maintenance: { pruneAfter: 7, maxEntries: 20 } }, cron: { sessionRetention: false } }";
    let expected = Passing {
        requests: Some(7 * day),
        most: 20,
        jobs: None,
    };
    assert_eq!(of(own).passing, expected);
    let none = "{ session: { maintenance: { mode: 'warn' } } }";
    assert_eq!(of(none).passing, Passing::FOR_EVER);
}

#[test]
fn a_channel_has_its_own_rest() {
    let settings =
        of("{ messages: { queue: { debounceMs: 500, debounceMsByChannel: { Telegram: 2000 } } } }");
    assert_eq!(settings.queue_rest("telegram"), Duration::from_secs(2));
    assert_eq!(settings.queue_rest("webchat"), Duration::from_millis(500));
}

#[test]
fn models_that_cannot_be_asked_are_told_apart() {
    let settings = of(
        "{ agents: { defaults: { model: { primary: 'openai/gpt-5', fallbacks: ['ollama/small', 'typo/m'] } } } }",
    );
    let told = |id: &str| {
        let row = settings.models.iter().find(|row| row.id == id).unwrap();
        (row.available, row.unavailable_reason)
    };
    assert_eq!(
        told("gpt-5"),
        (Some(false), Some(UnavailableReason::MissingAuth))
    );
    assert_eq!(told("small"), (Some(true), None));
    assert_eq!(told("m"), (Some(false), None));
    assert_eq!(of("{}").models[0].available, Some(true));
}
