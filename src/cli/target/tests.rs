//! Which gateway is found, and what goes to it.

use super::*;
use crate::cli::failure::Exit;

fn configured() -> Configured {
    Configured {
        remote: false,
        remote_url: Some("wss://gw.example.com".into()),
        remote_secret: Some(Secret::Token("remote".into())),
        local_url: Some("ws://127.0.0.1:18789".into()),
        local_secret: Some(Secret::Token("local".into())),
        owner_only: false,
        fault: None,
        gateway_dir: "/state/gateway".into(),
        ..Configured::default()
    }
}

fn args(url: Option<&str>, token: Option<&str>) -> TargetArgs {
    TargetArgs {
        url: url.map(str::to_owned),
        token: token.map(str::to_owned),
        password: None,
        tls_fingerprint: None,
        ssh: None,
    }
}

fn find(
    args: &TargetArgs,
    variables: &[(&str, &str)],
    configured: &Configured,
) -> Result<Target, Failure> {
    let env = |name: &str| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    resolve(args, &env, configured)
}

fn token(target: &Target) -> Option<&str> {
    match target.secret.as_ref()? {
        Secret::Token(token) | Secret::Password(token) => Some(token),
    }
}

#[test]
fn flags_go_before_variables_before_the_configuration() {
    let url = [("OPENCLAW_GATEWAY_URL", "wss://env")];
    let both = [url[0], ("OPENCLAW_GATEWAY_TOKEN", "env")];
    let configured = configured();

    let target = find(&args(None, None), &[], &configured).unwrap();
    assert_eq!(
        (&*target.url, token(&target)),
        ("ws://127.0.0.1:18789", Some("local"))
    );
    let target = find(&args(None, None), &both, &configured).unwrap();
    assert_eq!((&*target.url, token(&target)), ("wss://env", Some("env")));
    let target = find(&args(Some("wss://flag"), Some("flag")), &both, &configured).unwrap();
    assert_eq!((&*target.url, token(&target)), ("wss://flag", Some("flag")));
    let target = find(&args(None, Some("flag")), &url, &configured).unwrap();
    assert_eq!((&*target.url, token(&target)), ("wss://env", Some("flag")));
}

#[test]
fn mode_remote_means_the_remote_gateway() {
    let remote = Configured {
        remote: true,
        ..configured()
    };
    let target = find(&args(None, None), &[], &remote).unwrap();
    assert_eq!(
        (&*target.url, token(&target)),
        ("wss://gw.example.com", Some("remote"))
    );
    assert!(!target.loopback);

    let nowhere = Configured {
        remote_url: None,
        ..remote
    };
    let failure = find(&args(None, None), &[], &nowhere).unwrap_err();
    assert_eq!(failure.exit, Exit::Config);
    assert!(
        failure.what.contains("gateway.remote.url"),
        "{}",
        failure.what
    );
}

#[test]
fn a_configured_secret_is_only_given_to_its_own_gateway() {
    let configured = configured();
    let found = |url| find(&args(Some(url), None), &[], &configured).unwrap();
    assert_eq!(token(&found("ws://localhost:18789")), Some("local"));
    assert_eq!(token(&found("ws://[::1]:18789/")), Some("local"));
    assert_eq!(token(&found("wss://GW.example.com")), Some("remote"));
    for other in [
        "ws://127.0.0.1:18790",
        "wss://elsewhere",
        "wss://gw.example.com:8443",
    ] {
        assert_eq!(token(&found(other)), None, "{other}");
    }
}

#[test]
fn a_secret_that_cannot_be_read_is_named_unless_another_gateway_is_meant() {
    let broken = Configured {
        local_secret: None,
        fault: Some("gateway.auth.token: X is not set".into()),
        ..configured()
    };
    let failure = find(&args(None, None), &[], &broken).unwrap_err();
    assert_eq!(
        (failure.exit, &*failure.what),
        (Exit::Config, "gateway.auth.token: X is not set")
    );
    assert!(find(&args(None, Some("flag")), &[], &broken).is_ok());
    assert!(find(&args(Some("wss://other"), None), &[], &broken).is_ok());
}

#[test]
fn addresses_are_understood_as_people_write_them() {
    let found = |url| find(&args(Some(url), None), &[], &configured()).map(|target| target.url);
    assert_eq!(found("http://127.0.0.1:1/").unwrap(), "ws://127.0.0.1:1");
    assert_eq!(found("https://gw/path").unwrap(), "wss://gw/path");
    for wrong in [
        "127.0.0.1:18789",
        "ftp://x",
        "ws://",
        "ws://a b",
        "ws://127.0.0.1/#token=x",
        "ws://user:pw@127.0.0.1",
    ] {
        assert_eq!(found(wrong).unwrap_err().exit, Exit::Usage, "{wrong}");
    }
}

#[test]
fn credentials_cross_a_network_only_encrypted() {
    let found = |url, env: &[(&str, &str)]| find(&args(Some(url), Some("t")), env, &configured());
    for fine in [
        "ws://127.0.0.9:1",
        "ws://localhost",
        "ws://[::1]:1",
        "ws://100.101.1.1:18789",
        "ws://[fd7a:115c:a1e0::1]:18789",
        "ws://pi.tail1.ts.net",
        "wss://gw.example.com",
    ] {
        assert!(found(fine, &[]).is_ok(), "{fine}");
    }
    for plain in [
        "ws://192.168.1.5:18789",
        "ws://gw.example.com",
        "ws://100.1.1.1",
    ] {
        let failure = found(plain, &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::Config, "{plain}");
        assert!(found(plain, &[(ALLOW_PLAIN, "1")]).is_ok());
    }
}

#[test]
fn debug_output_never_holds_a_secret() {
    let target = find(&args(None, Some("s3cret")), &[], &configured()).unwrap();
    assert!(!format!("{target:?}").contains("s3cret"));
}

#[test]
fn where_no_secret_is_configured_the_gateways_own_one_proves_its_user() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join(".openclaw");
    std::fs::create_dir_all(state.join("gateway")).unwrap();
    std::fs::write(state.join("gateway/token"), "own-secret\n").unwrap();
    let env = |_: &str| None;
    let found = |auth: &str| {
        let config =
            format!("{{ gateway: {{ trustedProxies: ['10.0.0.1'], auth: {{ {auth} }} }} }}");
        std::fs::write(state.join("openclaw.json"), config).unwrap();
        let loaded = crate::config::load(&crate::config::LoadRequest {
            flags: &crate::config::Flags::default(),
            env: &env,
            home: Some(home.path()),
        });
        let configured = Configured::of(&loaded.unwrap());
        (configured.local_secret, configured.owner_only)
    };
    let own = Some(Secret::Token("own-secret".into()));
    assert_eq!(
        found("mode: 'none', token: 'unused-0123456789'"),
        (own.clone(), true)
    );
    let proxy = "mode: 'trusted-proxy', trustedProxy: { userHeader: 'x-user' }";
    assert_eq!(found(proxy), (own.clone(), true));
    let password = Some(Secret::Password("pw".into()));
    assert_eq!(found(&format!("{proxy}, password: 'pw'")), (password, true));
    let token = Some(Secret::Token("configured".into()));
    assert_eq!(found("token: 'configured'"), (token, false));
    assert_eq!(found(""), (own, false));
}

#[test]
fn what_is_behind_ssh_and_what_is_not_share_no_settings() {
    let pin = "ab".repeat(32);
    let behind = Configured {
        remote: true,
        remote_url: Some("wss://127.0.0.1:18790".into()),
        remote_fingerprint: Some(pin.clone()),
        remote_ssh: Some(Ssh {
            host: "me@box".into(),
            identity: None,
        }),
        ..configured()
    };
    let target = find(&args(None, None), &[], &behind).unwrap();
    assert_eq!(target.ssh, behind.remote_ssh);
    assert_eq!(token(&target), Some("remote"));
    assert_eq!(target.tls_fingerprint, Fingerprint::parse(&pin));

    // An address that is named is dialled from here, and the remote's secret is not for it.
    let url = [("OPENCLAW_GATEWAY_URL", "wss://127.0.0.1:18790")];
    let by_flag = args(Some("wss://127.0.0.1:18790"), None);
    for target in [
        find(&args(None, None), &url, &behind).unwrap(),
        find(&by_flag, &[], &behind).unwrap(),
    ] {
        assert_eq!(target.ssh, None);
        assert_eq!((token(&target), target.tls_fingerprint), (None, None));
    }
    let local = [("OPENCLAW_GATEWAY_URL", "ws://127.0.0.1:18789")];
    let target = find(&args(None, None), &local, &behind).unwrap();
    assert_eq!((target.ssh.as_ref(), token(&target)), (None, Some("local")));

    // Another host of ssh gets neither, and no settings of this host's gateway.
    let mut other = args(None, None);
    other.ssh = Some("me@other".into());
    let target = find(&other, &[], &behind).unwrap();
    assert_eq!(target.url, BEHIND_SSH);
    assert_eq!((token(&target), target.tls_fingerprint), (None, None));
    other.tls_fingerprint = Some(pin.clone());
    let target = find(&other, &[], &behind).unwrap();
    assert_eq!(target.url, BEHIND_SSH_TLS);
    assert_eq!(target.tls_fingerprint, Fingerprint::parse(&pin));
}
