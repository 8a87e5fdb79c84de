#!/bin/sh
# What `make` needs around Python: an interpreter, room on the disk, .venv from the lock, Chromium and PostgreSQL for the tests.
# Usage: sh infra/setup.sh run|dev|lock|tests, from the root of the clone. One sentence and non-zero when it cannot.
set -eu

venv=.venv
log=$venv/setup.log
needed_gb=8 # .venv takes 3.5 GB, pip's downloads and unpacking 2 more, the line's own state the rest
[ ! -e $venv/.ready ] || needed_gb=2 # a change of the lock replaces some packages

fail() {
    printf 'throughline: %s\n' "$1" >&2
    exit 1
}

# The name alone proves nothing: a version manager may leave a `python3.13` that only says it is not installed.
suits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        suits "$PYTHON" || fail "PYTHON=$PYTHON is not a working Python 3.11, 3.12 or 3.13; name another one or unset PYTHON."
        python=$PYTHON
        return
    fi
    for python in python3 python3.13 python3.12 python3.11 python; do
        if suits "$python"; then return; fi
    done
    fail "Python 3.11, 3.12 or 3.13 is needed and none was found on PATH; install one (Debian: apt-get install python3 python3-venv) or run make with PYTHON=/path/to/python3."
}

check_disk() {
    free_kb=$(df -Pk . | awk 'NR == 2 {print $4}')
    if [ "$free_kb" -lt $((needed_gb * 1024 * 1024)) ]; then
        fail "$needed_gb GB of free disk are needed in $(pwd) and only $((free_kb / 1024)) MB are left; free some or move the clone."
    fi
}

make_venv() {
    if [ -x $venv/bin/pip ] && suits $venv/bin/python; then return; fi
    find_python
    echo "Making $venv with $("$python" --version 2>&1)"
    "$python" -m venv --clear $venv >/dev/null 2>&1 ||
        fail "$python cannot make a virtual environment; install its venv module (Debian: apt-get install python3-venv) and run make again."
}

# Runs pip with its chatter in the log and one line of progress every ten seconds.
install() {
    what=$1
    shift
    began=$(date +%s)
    echo "Installing $what"
    mkdir -p $venv/tmp
    # Downloads are unpacked beside their destination: /tmp may be a small memory disk.
    TMPDIR=$(pwd)/$venv/tmp $venv/bin/python -m pip install --disable-pip-version-check --no-input \
        --constraint requirements.lock "$@" >>$log 2>&1 &
    pip=$!
    trap 'kill $pip 2>/dev/null; exit 130' INT TERM
    ticks=0
    while kill -0 $pip 2>/dev/null; do
        sleep 1
        ticks=$((ticks + 1))
        if [ $((ticks % 10)) -eq 0 ]; then
            # shellcheck disable=SC2012  # names of packages hold nothing that ls could garble
            done=$(ls -d $venv/lib/python3*/site-packages/*.dist-info 2>/dev/null | wc -l)
            echo "  $(($(date +%s) - began)) s: $(grep -c -E '^(Collecting|Processing) ' $log || true) packages found, $done installed"
        fi
    done
    trap - INT TERM
    if ! wait $pip; then
        tail -n 5 $log >&2
        fail "Installing $what failed: see the lines above and $log; once the cause is gone, run make again and it goes on."
    fi
    rm -rf $venv/tmp
    echo "  done in $(($(date +%s) - began)) s"
}

case "${1:-}" in
run)
    check_disk
    make_venv
    : >$log
    install "the build tools" "setuptools>=80"
    install "throughline with its packages from requirements.lock (3.5 GB, some minutes)" --no-build-isolation --editable .
    touch $venv/.ready
    ;;
dev)
    install "the tools for tests and checks" --no-build-isolation --editable '.[dev]'
    touch $venv/.ready-dev
    ;;
lock)
    # CUDA's packages are left out: PyTorch names their exact versions itself, and its CPU build wants none of them.
    # appnope is for macOS alone, and plain pins cannot say so.
    $venv/bin/uv pip compile --quiet --universal --extra dev --no-header --no-annotate pyproject.toml |
        sed -e 's/ ;.*//' -e '/^nvidia-/d' -e '/^cuda-/d' -e '/^triton==/d' -e '/^appnope==/d' >requirements.lock.new
    mv requirements.lock.new requirements.lock
    ;;
tests)
    command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ||
        command -v google-chrome >/dev/null 2>&1 ||
        fail "The browser test needs Chromium and none was found on PATH; install it (Debian: apt-get install chromium) and run make test again."
    # Debian keeps the server's programs beside PATH.
    command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 ||
        fail "The tests of SQL sources start a PostgreSQL server and none is installed; install it (Debian: apt-get install postgresql) and run make test again."
    ;;
*)
    fail "usage: sh infra/setup.sh run|dev|lock|tests"
    ;;
esac
