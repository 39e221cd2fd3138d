#!/bin/sh
# Chromium for the browser tests: there already, or from apt where we may. In CI its absence is an error.
set -eu
for name in ${CHROMIUM:-} chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  echo "Installing Chromium"
  export DEBIAN_FRONTEND=noninteractive
  if apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core; then exit 0; fi
fi
if [ "${CI:-}" = true ]; then
  echo "Chromium is needed for the browser tests and could not be installed." >&2
  exit 1
fi
echo "No Chromium here: the browser tests will be skipped. Install it, or name one in CHROMIUM." >&2
