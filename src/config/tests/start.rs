//! Which secret guards the gateway, and what the first start makes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use secrecy::ExposeSecret;

use super::Host;
use crate::config::auth::{AuthConfigError, Weakness, resolve, weakness};
use crate::config::first_start::FirstStart;
use crate::config::gateway::AuthMode;

#[test]
fn the_mode_follows_what_is_configured() {
    let strong = "0f3d9a2c71b84e5f9a6d";
    let both =
        format!("{{ gateway: {{ auth: {{ token: '{strong}', password: 'also-{strong}' }} }} }}");
    assert_eq!(
        Host::with(&both).auth().unwrap_err(),
        AuthConfigError::Ambiguous
    );

    let mut by_flag = Host::with(&both);
    by_flag.flags.token = Some("from-the-flag-0123456789".to_owned());
    assert_eq!(
        by_flag.auth().unwrap(),
        (AuthMode::Token, Some("from-the-flag-0123456789".to_owned()))
    );

    let password = Host::with("{ gateway: { auth: { password: 'p-0123456789abcdef' } } }");
    assert_eq!(
        password.auth().unwrap(),
        (AuthMode::Password, Some("p-0123456789abcdef".to_owned()))
    );

    let none = Host::with("{ gateway: { auth: { mode: 'none' } } }");
    assert_eq!(none.auth().unwrap(), (AuthMode::None, None));

    let missing = Host::with("{ gateway: { auth: { mode: 'password' } } }")
        .auth()
        .unwrap_err();
    assert_eq!(
        missing.to_string(),
        "gateway.auth.password is not configured; set it, or OPENCLAW_GATEWAY_PASSWORD, or pass --password"
    );
}

#[test]
fn the_environment_goes_over_the_file_and_says_so() {
    let host = Host::with("{ gateway: { auth: { token: 'from-the-file-0123456789' } } }")
        .set("OPENCLAW_GATEWAY_TOKEN", "from-the-environment-0123");
    assert_eq!(
        host.auth().unwrap().1.as_deref(),
        Some("from-the-environment-0123")
    );
    let warnings = host.load().unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "OPENCLAW_GATEWAY_TOKEN differs from gateway.auth.token in the file; the variable is used"
        ]
    );
}

#[test]
fn a_secret_that_leads_nowhere_stops_the_start_and_nothing_else() {
    let host = Host::with("{ gateway: { auth: { token: '${NOT_SET}' } } }");
    let loaded = host.load().unwrap();
    assert_eq!(
        loaded.warnings,
        ["gateway.auth.token: the environment variable NOT_SET is not set"]
    );
    let error = resolve(&loaded).unwrap_err();
    assert_eq!(
        error.to_string(),
        "gateway.auth.token: the environment variable NOT_SET is not set"
    );
    assert!(
        !host.start().unwrap().1.made_token,
        "no other token takes its place"
    );
}

#[test]
fn what_others_can_reach_needs_a_strong_secret() {
    let at = |bind: &str, auth: &str| {
        Host::with(&format!("{{ gateway: {{ {bind}, auth: {{ {auth} }} }} }}")).auth()
    };
    let lan = "bind: 'lan'";
    for (secret, expected) in [
        ("changeme", Weakness::Placeholder),
        ("your-token-here", Weakness::Placeholder),
        ("<YOUR_TOKEN>", Weakness::Placeholder),
        ("abc123", Weakness::Short(6)),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", Weakness::Monotonous),
    ] {
        let token = format!("token: '{secret}'");
        let Err(AuthConfigError::Weak { weakness, .. }) = at(lan, &token) else {
            panic!("{secret} was accepted")
        };
        assert_eq!(weakness, expected, "{secret}");
        assert!(
            at("bind: 'loopback'", &token).is_ok(),
            "{secret} is only warned about on loopback"
        );
    }
    for accident in [
        "undefined",
        "null",
        "[object Object]",
        "__OPENCLAW_REDACTED__",
    ] {
        let error = at("bind: 'loopback'", &format!("token: '{accident}'")).unwrap_err();
        assert!(
            matches!(error, AuthConfigError::NotASecret { .. }),
            "{accident}"
        );
    }
    assert!(matches!(
        at(lan, "mode: 'none'"),
        Err(AuthConfigError::Open { .. })
    ));
    assert!(matches!(at(lan, ""), Err(AuthConfigError::Missing { .. })));
    let proxy = "mode: 'trusted-proxy', trustedProxy: { userHeader: 'x-user' }";
    assert!(matches!(at(lan, proxy), Err(AuthConfigError::Open { .. })));
    assert!(at("bind: 'lan', trustedProxies: ['10.0.0.1']", proxy).is_ok());
    let strong = "token: '0f3d9a2c71b84e5f9a6d'";
    assert!(at(lan, strong).is_ok());
    assert!(
        at(
            "bind: 'custom', customBindHost: '127.0.0.1'",
            "mode: 'none'"
        )
        .is_ok()
    );
    assert!(matches!(
        at("tailscale: { mode: 'funnel' }", strong),
        Err(AuthConfigError::Funnel)
    ));
}

#[test]
fn what_tailscale_serves_needs_a_strong_secret_on_loopback_too() {
    let served = |auth: &str| {
        Host::with(&format!(
            "{{ gateway: {{ tailscale: {{ mode: 'serve' }}, auth: {{ {auth} }} }} }}"
        ))
    };
    // Without a secret every peer of the tailnet could ask, with its identity headers or without.
    for open in ["mode: 'none'", "mode: 'none', allowTailscale: true"] {
        let error = served(open).auth().unwrap_err();
        assert!(matches!(error, AuthConfigError::Open { .. }), "{open}");
        let text = error.to_string();
        assert!(text.contains("gateway.tailscale.mode \"serve\""), "{text}");
        assert!(
            text.ends_with("or gateway.tailscale.mode to \"off\""),
            "{text}"
        );
    }
    for weak in ["token: 'hunter2'", "password: 'changeme'"] {
        let error = served(weak).auth().unwrap_err();
        assert!(matches!(error, AuthConfigError::Weak { .. }), "{weak}");
    }
    assert!(served("token: '0f3d9a2c71b84e5f9a6d'").auth().is_ok());
    assert!(served("password: '0f3d9a2c71b84e5f9a6d'").auth().is_ok());
    // The token that the first start makes is strong.
    let first = served("");
    assert!(first.start().unwrap().1.made_token);
    assert!(first.auth().is_ok());
}

#[test]
fn the_refusal_says_why_and_what_to_do() {
    let error = Host::with("{ gateway: { bind: 'lan', auth: { token: 'hunter2' } } }")
        .auth()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "gateway.bind \"lan\" lets others reach this gateway, and gateway.auth.token: it has 7 characters and needs \
         at least 16; make one with: openssl rand -base64 32, or set gateway.bind to \"loopback\""
    );
}

#[test]
fn the_first_start_writes_a_configuration_with_a_token() {
    let host = Host::new();
    let (loaded, first) = host.start().unwrap();
    assert!(first.made_token);
    assert_eq!(first.created, Some(loaded.paths.config_path.clone()));
    let (mode, token) = host.auth().unwrap();
    assert_eq!(mode, AuthMode::Token);
    assert_eq!(token.as_deref().map(str::len), Some(43));
    assert_eq!(weakness(&token.unwrap()), None);
    let written = fs::read_to_string(host.path(".openclaw/openclaw.json")).unwrap();
    assert!(written.starts_with("// Configuration of the OpenClaw gateway"));

    assert_eq!(
        host.start().unwrap().1,
        FirstStart::default(),
        "the second start makes nothing"
    );
    assert_eq!(
        fs::read_to_string(host.path(".openclaw/openclaw.json")).unwrap(),
        written
    );
}

#[test]
fn an_existing_file_without_a_secret_is_left_alone() {
    let host = Host::with("{ agents: {} } // mine");
    let (loaded, first) = host.start().unwrap();
    assert!(first.made_token && first.created.is_none());
    assert!(
        first.notices[0].contains("has no gateway.auth"),
        "{:?}",
        first.notices
    );
    assert_eq!(loaded.raw.as_deref(), Some("{ agents: {} } // mine"));
    let token = fs::read_to_string(host.path(".openclaw/gateway/token")).unwrap();
    assert_eq!(
        host.auth().unwrap(),
        (AuthMode::Token, Some(token.trim().to_owned()))
    );
    assert!(!host.start().unwrap().1.made_token);
}

#[test]
fn a_file_that_others_can_read_is_named() {
    let host = Host::with("{ gateway: { auth: { token: 'tok-0123456789abcdef' } } }");
    assert_eq!(host.start().unwrap().1, FirstStart::default());
    let file = host.path(".openclaw/openclaw.json");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let notices = host.start().unwrap().1.notices;
    assert!(
        notices[0].ends_with(&format!("run: chmod 600 {}", file.display())),
        "{notices:?}"
    );
}

#[test]
fn no_token_is_made_where_one_is_given_or_others_can_connect() {
    let given = Host::new().set("OPENCLAW_GATEWAY_TOKEN", "from-the-environment-0123");
    assert_eq!(given.start().unwrap().1, FirstStart::default());
    assert!(!given.path(".openclaw/openclaw.json").exists());

    let mut open = Host::new();
    open.flags.bind = Some("lan".to_owned());
    let (loaded, first) = open.start().unwrap();
    assert!(!first.made_token);
    assert!(matches!(
        resolve(&loaded),
        Err(AuthConfigError::Missing { .. })
    ));
}

#[test]
fn the_modes_without_a_secret_keep_one_for_the_gateways_user_and_say_who_can_connect() {
    let proxy = "mode: 'trusted-proxy', trustedProxy: { userHeader: 'X-User' }";
    for (auth, words) in [
        ("mode: 'none'", "every user on this host"),
        (proxy, "10.0.0.1 names in `X-User`"),
    ] {
        let config =
            format!("{{ gateway: {{ trustedProxies: ['10.0.0.1'], auth: {{ {auth} }} }} }}");
        let host = Host::with(&config);
        let (loaded, first) = host.start().unwrap();
        // It is no token of the gateway: no address shows it, no notice names it.
        assert_eq!(first, FirstStart::default(), "{auth}");
        let token = loaded.own_token.clone().expect("a secret of our own");
        let auth = resolve(&loaded).unwrap();
        assert_eq!(
            auth.owner.as_ref().map(ExposeSecret::expose_secret),
            Some(token.expose_secret())
        );
        assert!(auth.token.is_none());
        let warning = auth.warnings.join("\n");
        assert!(
            warning.contains(words) && warning.contains("openclaw devices approve"),
            "{warning}"
        );
        assert!(!warning.contains(token.expose_secret()));
    }
}

#[test]
fn settings_that_would_trust_more_are_named_with_what_to_do_instead() {
    let host = Host::with(
        "{ gateway: { auth: { trustedProxy: { userHeader: 'x', deviceAutoApprove: { enabled: true } } },
           controlUi: { allowInsecureAuth: true, dangerouslyDisableDeviceAuth: true },
           nodes: { pairing: { autoApproveCidrs: ['10.0.0.0/8'], sshVerify: true } } } }",
    );
    let warnings = host.load().unwrap().warnings;
    for key in [
        "gateway.nodes.pairing.autoApproveCidrs",
        "gateway.nodes.pairing.sshVerify",
        "gateway.auth.trustedProxy.deviceAutoApprove",
        "gateway.controlUi.allowInsecureAuth",
        "gateway.controlUi.dangerouslyDisableDeviceAuth",
    ] {
        let warning = warnings.iter().find(|line| line.starts_with(key));
        let warning = warning.unwrap_or_else(|| panic!("{key}: {warnings:?}"));
        assert!(warning.contains("has no effect here: "), "{warning}");
        assert!(warning.contains("; "), "{warning}");
    }
    // What asks for nothing is not worth a line.
    let quiet = Host::with(
        "{ gateway: { auth: { trustedProxy: { deviceAutoApprove: { enabled: false } } },
           controlUi: { allowInsecureAuth: false },
           nodes: { pairing: { autoApproveCidrs: [], sshVerify: false } } } }",
    );
    assert_eq!(quiet.load().unwrap().warnings, Vec::<String>::new());
}
