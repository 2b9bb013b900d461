#!/usr/bin/env bash
# Environments for peers that cannot live beside ours, under benchmarks/.venvs.
# torch comes from PIP_FIND_LINKS or its CPU index: the plain name would bring gigabytes of CUDA.
set -euo pipefail
cd "$(dirname "$0")"
make_one() {
  [ -x ".venvs/$1/bin/python" ] || "${PYTHON:-python3}" -m venv ".venvs/$1"
  ".venvs/$1/bin/python" -m pip install --quiet "${@:2}"
}
make_one tensorflow "tensorflow-cpu==2.21.0" "keras==3.15.1"
make_one torch "torch==2.13.0" "keras==3.15.1" \
  ${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"} --extra-index-url https://download.pytorch.org/whl/cpu
