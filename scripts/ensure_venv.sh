#!/bin/sh
# ensure_venv.sh PYTHON VENV STAMP EXTRAS: a virtual environment with this project and the given extras in it.
set -eu
python=$1 venv=$2 stamp=$3 extras=$4

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "Sessile needs Python 3.11 or newer; \`$python\` is not. Name another one: make PYTHON=python3.11 ..." >&2
  exit 1
fi
if [ ! -x "$venv/bin/python" ]; then
  echo "Making $venv"
  # Debian leaves ensurepip out of python3; the system's pip can fill an environment made without it (pip 22.3 and newer).
  "$python" -m venv "$venv" 2>/dev/null ||
    { "$python" -m venv --clear --without-pip "$venv" && "$python" -m pip --python "$venv/bin/python" install --quiet pip; }
fi
echo "Installing sessile[$extras] into $venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
touch "$venv/.ready-$stamp"
