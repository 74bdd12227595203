#!/usr/bin/env bash
# Build the wheel, install it into a clean environment with the oldest versions that pyproject.toml admits, and run the tests marked `base`.
#
#     scripts/test_oldest.sh            torch as constraints.txt has it: the oldest build on PyPI brings gigabytes of CUDA
#     scripts/test_oldest.sh 2.6.0      another torch
#
# The oldest versions have wheels for Python 3.11; PYTHON names another interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-$(command -v python3.11 || command -v python3)}
torch=${1:-$(sed -n 's/^torch==//p' constraints.txt)}
folder=build/oldest
say() { printf '\n== %s\n' "$*"; }

say "build the wheel"
rm -rf "$folder"
"$python" -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --disable-pip-version-check "$@"; }
pip wheel --quiet --no-deps --wheel-dir "$folder" .
wheel=$(echo "$folder"/poseglot-*.whl)
echo "$wheel"

say "install it with the oldest versions, and torch $torch"
"$python" - >"$folder/oldest.txt" <<'PYTHON'
import re
import tomllib

with open("pyproject.toml", "rb") as file:
    for requirement in tomllib.load(file)["project"]["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement).groups()
        if name != "torch":
            print(f"{name}=={bound}")
PYTHON
cat "$folder/oldest.txt"
pip install --quiet --requirement "$folder/oldest.txt" "torch==$torch" "$wheel" hypothesis pytest
pip check
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import poseglot

print(poseglot.__file__)
assert poseglot.__file__.startswith(sys.prefix), "this is not the package of the wheel"
PYTHON
"$folder/venv/bin/poseglot" --version

say "run the tests marked base"
# By file: the other modules cannot be imported without the extras. The options in pyproject.toml are those of plugins.
modules=$(grep -rl --include='test_*.py' '^pytestmark = pytest.mark.base$' tests)
# shellcheck disable=SC2086
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -m pytest -q -o addopts= -p no:cacheprovider -m "base and not slow" $modules
