#!/bin/sh
# What the tests start themselves, PostgreSQL, Redis and a browser, of the system's packages. Does
# nothing where they are there; where it may not install them, the tests that need them say so.
set -eu

missing=""
ls /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb >/dev/null 2>&1 ||
  command -v initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v redis-server >/dev/null 2>&1 || command -v valkey-server >/dev/null 2>&1 ||
  missing="$missing redis-server"
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ||
  command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium"
[ -z "$missing" ] && exit 0

root=""
if [ "$(id -u)" -ne 0 ]; then
  if sudo -n true 2>/dev/null; then root="sudo -n"; else root="none"; fi
fi
if [ "$root" = none ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "Not installed:$missing. Their tests will be skipped; install them with your system's packages." >&2
  exit 0
fi

# No server of the system's own is wanted, only the binaries.
export DEBIAN_FRONTEND=noninteractive
$root mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
  echo "create_main_cluster = false" | $root tee /etc/postgresql-common/createcluster.conf >/dev/null
get="$root apt-get -q -o Acquire::http::Timeout=20 -o Acquire::Retries=1 -o DPkg::Lock::Timeout=60"
# shellcheck disable=SC2086
if ! { $get update && $get install -y --no-install-recommends $missing; } >&2; then
  echo "Could not install:$missing. Their tests will be skipped." >&2
fi
