#!/bin/sh
# Makes .venv with everything that runs needs, and asks the system for what Python cannot bring.
# Does nothing when .venv is already as pyproject.toml asks.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/.stamp
log=

say() { printf '%s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }
trap 'rm -f "$log"' EXIT

fit() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

find_python() {
    for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
        if fit "$candidate"; then command -v "$candidate"; return; fi
    done
}

# Installs the packages named, or says what to type.
install() {
    line="apt-get update && apt-get install -y --no-install-recommends $*"
    command -v apt-get >/dev/null || fail "This system lacks what these Debian packages hold: $*. Install it and run make again."
    if [ "$(id -u)" = 0 ]; then root=
    elif sudo -n true 2>/dev/null; then root="sudo -n"
    else fail "Something is missing in this system. Type this line, then run make again:
  sudo sh -c '$line'"
    fi
    say "Installing with apt-get: $*"
    $root env DEBIAN_FRONTEND=noninteractive sh -c "$line" >"$log" 2>&1 || { tail -n 5 "$log" >&2; fail "apt-get failed."; }
}

pip_failed() {
    grep -v '^WARNING' "$log" | tail -n 5 >&2
    if grep -q -e 'Retrying' -e 'Could not fetch URL' "$log"; then
        fail "pip could not reach its package index: check the network, the proxy and the certificates."
    fi
    fail "pip could not install the packages; its last lines are above."
}

wanted=$(cksum <pyproject.toml)
if [ -x $venv/bin/python ] && [ "$(cat $stamp 2>/dev/null)" = "$wanted" ] && fit $venv/bin/python; then exit 0; fi

started=$(date +%s)
log=$(mktemp)
command -v python3 >/dev/null || install python3
python=$(find_python)
[ -n "$python" ] || fail "RegistrationSuite needs Python 3.10 to 3.13, and this system has $(python3 --version). Install one of these."
say "Setting up with $("$python" --version), $python"

missing=$("$python" Tools/system_check.py missing)
# shellcheck disable=SC2086 # the packages are words
[ -z "$missing" ] || install $missing

fit $venv/bin/python && $venv/bin/python -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear $venv
say "Installing Python packages into $venv: some minutes the first time"
$venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' >"$log" 2>&1 ||
    pip_failed

$venv/bin/python Tools/system_check.py render >"$log" 2>&1 ||
    { tail -n 5 "$log" >&2; fail "VTK or Qt cannot draw on this system; see the lines above."; }
printf '%s\n' "$wanted" >$stamp
say "Ready after $(($(date +%s) - started)) s, $(du -sh $venv | cut -f1) in $venv"
