#!/usr/bin/env bash
# Installs what `cargo bench --bench peers` compares with, on Debian as root: nginx, wrk and docker-registry by apt,
# distribution 3 by the installer of the real-client suites. What is there already is left alone.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

missing=()
for package in nginx-light wrk docker-registry; do
  dpkg-query --show --showformat '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get -qq update
  # RUNLEVEL=1: the packages would start their services, on ports that nobody asked for.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" </dev/null
fi
"$root/tests/clients/install.sh" registry
