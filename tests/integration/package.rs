//! The tar and the Debian package: made of this program, unpacked, and run from there.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn run(program: &str, args: &[&str], folder: &Path) -> String {
    let done = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env("LEVEL", "1")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        done.status.success(),
        "{program} {args:?}: {}{}",
        text(&done.stdout),
        text(&done.stderr)
    );
    text(&done.stdout)
}

#[test]
fn packages_hold_a_program_that_runs_and_units_that_name_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("it works in a test");
    let out = folder.path().join("out").display().to_string();
    run(
        "deploy/package/make",
        &[env!("CARGO_BIN_EXE_openclaw"), &out],
        root,
    );
    let out = Path::new(&out);
    run("sha256sum", &["--check", "--strict", "SHA256SUMS"], out);
    let made: Vec<String> = std::fs::read_dir(out)
        .expect("it works in a test")
        .flatten()
        .map(|entry| entry.path().display().to_string())
        .collect();
    let find = |end: &str| {
        made.iter()
            .find(|name| name.ends_with(end))
            .expect("it works in a test")
    };
    let control = run("dpkg-deb", &["--info", find(".deb")], out);
    assert!(control.contains("Package: openclaw"), "{control}");
    let installed = folder.path().join("installed").display().to_string();
    let installed = Path::new(&installed);
    // As dpkg installs it, into a root of its own, which has none of its dependencies.
    let admin = installed.join("var/lib/dpkg");
    for place in ["info", "updates"] {
        std::fs::create_dir_all(admin.join(place)).expect("it works in a test");
    }
    std::fs::write(admin.join("status"), "").expect("it works in a test");
    let prefix = format!("--root={}", installed.display());
    let dpkg = [
        prefix.as_str(),
        "--force-not-root",
        "--force-bad-path",
        "--force-depends",
        "--log=/dev/null",
    ];
    run("dpkg", &[&dpkg[..], &["-i", find(".deb")]].concat(), out);
    let program = installed.join("usr/bin/openclaw").display().to_string();
    let version: Value = serde_json::from_str(&run(&program, &["--version", "--json"], out))
        .expect("it works in a test");
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    for unit in [
        "system/openclaw-gateway.service",
        "user/openclaw-gateway.service",
    ] {
        let text = std::fs::read_to_string(installed.join("usr/lib/systemd").join(unit))
            .expect("it works in a test");
        assert!(
            text.contains("\nExecStart=/usr/bin/openclaw gateway\n"),
            "{text}"
        );
    }
    let completions = installed.join("usr/share/bash-completion/completions/openclaw");
    assert!(
        std::fs::read_to_string(completions)
            .expect("it works in a test")
            .contains("doctor")
    );
    // man reads the pages, where there is one.
    let page = installed.join("usr/share/man/man1/openclaw-cron-add.1.gz");
    let page = run("gzip", &["-dc", &page.display().to_string()], out);
    assert!(
        page.contains(".SH SYNOPSIS") && page.contains("every"),
        "{page}"
    );
    run("dpkg", &[&dpkg[..], &["-r", "openclaw"]].concat(), out);
    assert!(!Path::new(&program).exists(), "it goes without a trace");
    let listed = run("tar", &["-tzf", find(".tar.gz")], out);
    assert!(
        listed.lines().any(|line| line.ends_with("/bin/openclaw")),
        "{listed}"
    );
}
