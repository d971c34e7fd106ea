#!/usr/bin/env bash
# Lock what pyproject.toml names, for Python 3.11 to 3.13, with hashes and no package host's name.
# Run by `make lock`; UV is the uv to run.
set -euo pipefail
cd "$(dirname "$0")"
lock() { "${UV:-uv}" pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet "$@"; }
lock ../pyproject.toml --extra cloud --extra dev -o dev.lock
lock ../pyproject.toml --extra cloud -c dev.lock -o cloud.lock
lock ../pyproject.toml -c dev.lock -o device.lock
lock uv.in -o uv.lock
lock bench.in -o bench.lock
