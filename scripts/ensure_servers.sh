#!/bin/sh
# The servers that tests start for themselves: there already, or from apt where we may. In CI their absence is an error.
set -eu
policy=/usr/sbin/policy-rc.d

missing() {
  command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || echo postgresql
  for binary in redis-server redis-sentinel; do
    command -v "$binary" >/dev/null 2>&1 || echo "$binary"
  done
  command -v redis-cli >/dev/null 2>&1 || echo redis-tools
  command -v openssl >/dev/null 2>&1 || echo openssl
  command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || echo nginx-light
}

# Tests start servers of their own; the ones that Debian makes and starts are not wanted.
install() {
  export DEBIAN_FRONTEND=noninteractive
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  apt-get update -qq && apt-get install -qq -y --no-install-recommends "$@" || return 1
  for service in redis-server redis-sentinel nginx; do
    case " $* " in
      *" $service"*)
        # Where the machine has a policy of its own it was started all the same; and the next boot would start it.
        if [ -d /run/systemd/system ]; then systemctl disable --now --quiet "$service" || true
        elif command -v service >/dev/null 2>&1; then service "$service" stop >/dev/null 2>&1 || true; fi ;;
    esac
  done
}

packages=$(missing)
if [ -n "$packages" ] && command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  echo "Installing" $packages
  # shellcheck disable=SC2086  # one argument for each package
  install $packages || true
  packages=$(missing)
fi
[ -n "$packages" ] || exit 0
if [ "${CI:-}" = true ]; then
  echo "Needed for the tests, and could not be installed:" $packages >&2
  exit 1
fi
echo "Not here, so tests that need them will be skipped:" $packages >&2
