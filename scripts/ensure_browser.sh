#!/bin/sh
# Chromium for the browser tests: there already, or from apt where we may. In CI its absence is an error.
set -eu
found() {
  for name in ${CHROMIUM:-} chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then return 0; fi
  done
  return 1
}

packages=
found || packages="chromium fonts-dejavu-core"
# Most tests run in it, for less; where a distribution has none the whole browser does it all.
[ -n "${CHROMIUM:-}" ] || command -v chromium-headless-shell >/dev/null 2>&1 || packages="$packages chromium-headless-shell"
if [ -n "$packages" ] && command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  echo "Installing" $packages
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || true
  for package in $packages; do apt-get install -qq -y --no-install-recommends "$package" || true; done
fi
if found; then exit 0; fi
if [ "${CI:-}" = true ]; then
  echo "Chromium is needed for the browser tests and could not be installed." >&2
  exit 1
fi
echo "No Chromium here: the browser tests will be skipped. Install it, or name one in CHROMIUM." >&2
