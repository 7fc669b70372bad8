#!/usr/bin/env bash
# The base line beside Prometheus and VictoriaMetrics, in one run.
set -euo pipefail
cd "$(dirname "$0")/.."
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
command -v victoria-metrics >/dev/null || DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -q victoria-metrics
exec cargo bench --locked --bench compare
