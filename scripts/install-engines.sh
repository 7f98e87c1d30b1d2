#!/usr/bin/env bash
# Installs the programs that tests and benchmarks drive or compare with. Debian and root only; a quick no-op
# when everything is there. None of them is needed to run Evenkeel itself.
#   scripts/install-engines.sh            install what is missing
#   scripts/install-engines.sh --check    only say what is missing (exit 1 when something is)
set -euo pipefail

# program:package
wanted=(
  nginx:nginx-light
  haproxy:haproxy
  wrk:wrk
  ab:apache2-utils
  curl:curl
  chromium:chromium
  promtool:prometheus
)

export PATH="$PATH:/usr/sbin:/sbin"
missing=()
for pair in "${wanted[@]}"; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair##*:}")
done

if [ "${#missing[@]}" -eq 0 ]; then
  echo "engines: all present"
  exit 0
fi
echo "engines: missing ${missing[*]}"
[ "${1:-}" = --check ] && exit 1
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "engines: install them yourself: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

# A package must not start its daemon: they would take ports that the tests, or the machine's owner, want.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi

export DEBIAN_FRONTEND=noninteractive
for try in 1 2 3; do
  # Package lists older than the archive make every download a 404, so they are fetched anew before each try.
  if apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
    echo "engines: installed"
    exit 0
  fi
  echo "engines: try $try failed" >&2
  sleep $((try * 3))
done
exit 1
