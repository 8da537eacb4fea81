#!/bin/sh
# What has to be there before Python is: the interpreter itself, PostgreSQL's programs and, for the
# tests, a browser. Installs what is missing of them, then hands over to devenv.
set -eu

COMMAND=${1:?usage: sh tools/bootstrap.sh command}
TOOLS=$(cd "$(dirname "$0")" && pwd)
CREATE_CLUSTER=/etc/postgresql-common/createcluster.conf
POLICY=/usr/sbin/policy-rc.d
KEEP_OUT='create_main_cluster = false # while the development environment installs PostgreSQL'

die() {
    echo "error: $*" >&2
    exit 1
}

# Prints the first Python that Odoo 19 runs on and that can make a virtual environment.
find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3; do
        if "$candidate" -c 'import sys, ensurepip, venv
sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

has_postgres() {
    command -v postgres >/dev/null 2>&1 && return
    for server in /usr/lib/postgresql/*/bin/postgres; do
        [ -x "$server" ] && return
    done
    return 1
}

has_browser() {
    for browser in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$browser" >/dev/null 2>&1 && return
    done
    return 1
}

# What the tests drive besides Odoo: a browser, and what people get an archive open with.
test_packages() {
    has_browser || MISSING="$MISSING chromium"
    for program in age unzip rclone; do
        command -v "$program" >/dev/null 2>&1 || MISSING="$MISSING $program"
    done
    [ -x /usr/sbin/sshd ] || MISSING="$MISSING openssh-server"
}

# Runs a command as root: nothing, or sudo, which may ask only where somebody can answer.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 "$@" >"$LOG" 2>&1 </dev/null
}

# The package lists may be absent or old: they are read again only when they do not do.
apt_install() {
    apt_get install "$@" || { apt_get update && apt_get install "$@"; } || {
        grep '^E:' "$LOG" >&2 || tail -n 3 "$LOG" >&2
        die "apt-get could not install $*: mend that (see above), then run the command again"
    }
}

# Debian would start a PostgreSQL of its own on port 5432, which nobody asked for.
install_postgres() {
    apt_install postgresql-common
    as_root sh -c "echo '$KEEP_OUT' >>'$CREATE_CLUSTER'"
    trap forget_postgres EXIT
    apt_install postgresql
    forget_postgres
    trap - EXIT
}

# Only the program is wanted: no SSH server of the machine's own is to start, now or later.
install_sshd() {
    if [ -e "$POLICY" ]; then
        apt_install openssh-server # somebody has decided already what may start
    else
        as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$POLICY && chmod +x $POLICY"
        trap forget_policy EXIT
        apt_install openssh-server
        forget_policy
        trap - EXIT
    fi
    as_root systemctl disable ssh >/dev/null 2>&1 || true
}

forget_policy() {
    as_root rm -f "$POLICY"
}

forget_postgres() {
    as_root sed -i "/^$KEEP_OUT\$/d" "$CREATE_CLUSTER"
}

install_missing() {
    command -v apt-get >/dev/null 2>&1 || die "missing:$MISSING, and there is no apt-get: install them"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 ||
            die "no rights to install packages: ask root to run: apt-get install$MISSING"
        [ -t 0 ] || sudo -n true 2>/dev/null ||
            die "sudo asks for a password: run 'sudo -v' first, or as root: apt-get install$MISSING"
    fi
    LOG=$(mktemp) || die "no temporary file can be written: free some disk space"
    echo "==> Installing Debian packages:$MISSING"
    for package in $MISSING; do
        case $package in
            postgresql) install_postgres ;;
            openssh-server) install_sshd ;;
            *) apt_install "$package" ;;
        esac
    done
    rm -f "$LOG"
}

MISSING=
if [ "$COMMAND" != clean ]; then
    find_python >/dev/null || MISSING="$MISSING python3 python3-venv"
    has_postgres || MISSING="$MISSING postgresql"
    [ "$COMMAND" != test ] || test_packages
    [ "$COMMAND" != screenshots ] || has_browser || MISSING="$MISSING chromium"
    [ -z "$MISSING" ] || install_missing
fi

PYTHON=$(find_python) || die "no Python 3.10 to 3.13 found: install one and set PYTHON=/path/to/it"
export PYTHONPATH="$TOOLS"
exec "$PYTHON" -m devenv "$COMMAND"
