//! How much memory this process has and may have, as Linux tells it.

use std::fs;
use std::path::Path;

use openclaw_actors::health::load::Memory;

/// Memory of this process.
pub(super) struct OfThisProcess {
    /// What the configuration allows; 0 leaves it to the system.
    configured: u64,
    system: Option<u64>,
}

impl OfThisProcess {
    /// With the limit of the configuration, if there is one.
    pub(super) fn new(configured: u64) -> Self {
        let proc = Path::new("/proc");
        Self {
            configured,
            system: limit_of(proc, Path::new("/sys/fs/cgroup")),
        }
    }
}

impl Memory for OfThisProcess {
    fn resident(&self) -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        kilobytes(&status, "VmRSS:")
    }

    fn limit(&self) -> Option<u64> {
        match self.configured {
            0 => self.system,
            bytes => Some(bytes),
        }
    }
}

/// The lowest of what systemd or a container allows, else half of this machine's memory.
fn limit_of(proc: &Path, groups: &Path) -> Option<u64> {
    let group = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let group_of = |after: &str| {
        let mut lines = group.lines();
        lines.find_map(|line| Some(line.split_once(after)?.1.trim_start_matches('/')))
    };
    // Hosts with old container runtimes still have the first version, with a tree for memory alone.
    let new = lowest(groups, group_of("0::"), &["memory.high", "memory.max"]);
    let old = lowest(
        &groups.join("memory"),
        group_of(":memory:"),
        &["memory.limit_in_bytes"],
    );
    let allowed = new.into_iter().chain(old).min();
    let total = total(&proc.join("meminfo"));
    match (allowed, total) {
        (Some(allowed), Some(total)) if allowed < total => Some(allowed),
        (_, Some(total)) => Some(total / 2),
        (allowed, None) => allowed,
    }
}

/// The lowest limit of a group and of those around it.
fn lowest(groups: &Path, group: Option<&str>, names: &[&str]) -> Option<u64> {
    let mut folder = groups.join(group.unwrap_or_default());
    let mut found = Vec::new();
    while folder.starts_with(groups) {
        found.extend(names.iter().filter_map(|name| number(&folder.join(name))));
        if !folder.pop() {
            break;
        }
    }
    found.into_iter().min()
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn total(path: &Path) -> Option<u64> {
    kilobytes(&fs::read_to_string(path).ok()?, "MemTotal:")
}

/// A line of Linux' own lists, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1_024)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_lowest_limit_of_the_groups_around_counts_else_half_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let (proc, groups) = (folder.path().join("proc"), folder.path().join("cgroup"));
        let write = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            proc.join("meminfo"),
            "MemTotal:        4000 kB\nMemFree: 1 kB\n",
        );
        assert_eq!(limit_of(&proc, &groups), Some(2_048_000));
        write(
            proc.join("self/cgroup"),
            "0::/user.slice/openclaw.service\n",
        );
        write(
            groups.join("user.slice/openclaw.service/memory.high"),
            "max\n",
        );
        write(
            groups.join("user.slice/openclaw.service/memory.max"),
            "900000\n",
        );
        write(groups.join("user.slice/memory.max"), "700000\n");
        assert_eq!(limit_of(&proc, &groups), Some(700_000));
        write(groups.join("user.slice/memory.max"), "9000000000\n");
        write(
            groups.join("user.slice/openclaw.service/memory.max"),
            "8000000000\n",
        );
        assert_eq!(
            limit_of(&proc, &groups),
            Some(2_048_000),
            "more than there is"
        );
        write(
            proc.join("self/cgroup"),
            "4:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/docker/abc\n",
        );
        let old = groups.join("memory/docker/abc/memory.limit_in_bytes");
        write(old.clone(), "500000\n");
        assert_eq!(limit_of(&proc, &groups), Some(500_000));
        write(old, "9223372036854771712\n");
        assert_eq!(limit_of(&proc, &groups), Some(2_048_000), "no limit");
        let here = OfThisProcess::new(123);
        assert_eq!(here.limit(), Some(123));
        assert!(here.resident().is_none_or(|bytes| bytes > 100_000));
    }
}
