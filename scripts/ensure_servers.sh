#!/bin/sh
# The servers that tests start for themselves: there already, or from apt where we may. In CI their absence is an error.
set -eu
if command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then exit 0; fi

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  echo "Installing PostgreSQL"
  export DEBIAN_FRONTEND=noninteractive
  # Tests start clusters of their own; the one that Debian makes and starts is not wanted.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
  if apt-get update -qq && apt-get install -qq -y --no-install-recommends postgresql; then exit 0; fi
fi
if [ "${CI:-}" = true ]; then
  echo "PostgreSQL is needed for the tests and could not be installed." >&2
  exit 1
fi
echo "No PostgreSQL here: its tests will be skipped." >&2
