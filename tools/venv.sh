#!/usr/bin/env bash
# Builds one of the project's environments, or leaves it alone where it is there and up to date.
#
#   tools/venv.sh main     .venv         NVTabular, Merlin Models, and the TensorFlow that they were
#                                        released for, 2.12 (Python 3.8 to 3.11), or 2.21 (3.12, 3.13)
#   tools/venv.sh py313    .venv-py313   that with TensorFlow 2.21, whatever else there is (Python 3.13, 3.12)
#   tools/venv.sh keras3   .venv-keras3  TensorFlow 2.20, Keras 3, NVTabular       (Python 3.11)
#   tools/venv.sh torch    .venv-torch   PyTorch 2.15, NVTabular, no TensorFlow    (Python 3.11)
#   tools/venv.sh lint     .venv-lint    ruff, mypy, vermin, pre-commit            (Python 3.11)
#   tools/venv.sh docs     .venv-docs    mkdocs, which reads the package unimported (Python 3.11)
#   tools/venv.sh mutants  .venv-mutants mutmut, NVTabular, no TensorFlow          (Python 3.11)
#
# PYTHON=/path/to/python3.11 names the interpreter; otherwise it is the one that the environment already
# has, or the newest usable one of PATH, or of pyenv's. `tools/venv.sh py313 --find` prints it, and builds nothing.
set -euo pipefail

readonly UV_VERSION=0.13.9
export UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1
unset VIRTUAL_ENV PYTHONPATH PYTHONHOME
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# A pyenv shim stands on PATH for versions that it does not run, so ask each candidate for itself.
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

find_python() { # the versions that will do, the best one first
  local wanted=" $* " version candidate seen="" pyenv=("${@/#/${PYENV_ROOT:-$HOME/.pyenv}/versions/}")
  if [[ -n "${PYTHON:-}" ]]; then
    version=$(version_of "$PYTHON")
    [[ -n "$version" ]] || die "PYTHON=$PYTHON does not run as a Python interpreter."
    [[ "$wanted" == *" $version "* ]] ||
      die "Expected Python $* for $venv. Received: PYTHON=$PYTHON, which is Python $version." \
        "Name another interpreter, or leave PYTHON out."
    command -v "$PYTHON"
    return
  fi
  for candidate in "$(readlink -f "$venv/bin/python" || true)" "${@/#/python}" python3 \
    ${pyenv[@]/%/.*/bin/python}; do
    candidate=$(command -v "$candidate" || true)
    [[ -n "$candidate" ]] || continue
    version=$(version_of "$candidate")
    [[ " $seen " == *" $version "* ]] || seen="${seen:+$seen }$version"
    if [[ -n "$version" && "$wanted" == *" $version "* ]]; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  die "Expected Python $* on PATH for $venv. Received: ${seen:-none that runs}." \
    "Install Python $1 (a system package, pyenv or conda will do), or name one:" \
    "make PYTHON=/path/to/python$1 and the target"
}

find_uv() { # an uv that is here already, or one of our own: no pip of the machine takes part in the rest
  local own=.venv-uv/bin/uv
  if [[ -x $own && "$($own --version 2>/dev/null)" == "uv $UV_VERSION"* ]]; then
    printf '%s\n' "$own"
    return
  fi
  if command -v uv >/dev/null && uv pip sync --help 2>/dev/null | grep -q -- --build-constraint; then
    command -v uv
    return
  fi
  say "Fetching uv $UV_VERSION into .venv-uv ..."
  rm -rf .venv-uv
  "$python" -m venv .venv-uv >&2 ||
    die "Python's venv module does not work here: $python." \
      "Install it (Debian, Ubuntu: the package python3-venv), or install uv, then run make again."
  local pip=(.venv-uv/bin/python -m pip --quiet install)
  "${pip[@]}" "uv==$UV_VERSION" >&2 ||
    { "${pip[@]}" --upgrade pip >&2 && "${pip[@]}" "uv==$UV_VERSION" >&2; } ||
    die "uv could not be fetched by pip (see above). Install uv by hand, then run make again."
  printf '%s\n' "$own"
}

case "${1:-}" in
  main) venv=.venv versions=(3.11 3.10 3.9 3.8 3.13 3.12) ;;
  py313) venv=.venv-py313 versions=(3.13 3.12) ;;
  keras3) venv=.venv-keras3 versions=(3.11) ;;
  torch) venv=.venv-torch versions=(3.11) ;;
  lint) venv=.venv-lint versions=(3.11) ;;
  docs) venv=.venv-docs versions=(3.11) ;;
  mutants) venv=.venv-mutants versions=(3.11) ;;
  *) die "Expected one of main, py313, keras3, torch, lint, docs, mutants. Received: '${1:-}'." ;;
esac
python=$(find_python "${versions[@]}")
if [[ "${2:-}" == --find ]]; then
  printf '%s\n' "$python"
  exit 0
fi
pins=constraints/${1/main/merlin}.txt
reason=""
if [[ "$1" == main || "$1" == py313 ]]; then
  reason=", the versions that Merlin was released for,"
  case "$(version_of "$python")" in
    3.8 | 3.9 | 3.10) pins=constraints/merlin-py38.txt ;;
    3.12 | 3.13) # pandas 1.5 and TensorFlow 2.12 have no wheels for these
      pins=constraints/merlin-py313.txt
      reason=", today's versions, since Merlin's own need Python 3.8 to 3.11," ;;
  esac
fi

# What the environment was made from. The folder is part of it: environments cannot be moved.
inputs=("$pins" constraints/build.txt pyproject.toml tools/venv.sh)
stamp=$({ pwd && version_of "$python" && cat "${inputs[@]}"; } | "$python" -c \
  'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
if [[ "$(cat "$venv/.made-from" 2>/dev/null)" == "$stamp" ]] && "$venv/bin/python" -c '' 2>/dev/null; then
  exit 0
fi

uv=$(find_uv)
say "Building $venv with Python $(version_of "$python") from $pins$reason ..."
rm -rf "$venv"
quiet=() # progress bars are for people
[[ -t 2 ]] || quiet=(--quiet)
"$uv" venv --quiet --python "$python" "$venv"
"$uv" pip sync "${quiet[@]}" --python "$venv" --build-constraint constraints/build.txt "$pins"
if [[ "$1" == main || "$1" == py313 || "$1" == keras3 || "$1" == torch ]]; then
  "$uv" pip install --quiet --python "$venv" --no-deps --editable .
fi
printf '%s\n' "$stamp" >"$venv/.made-from"
say "$venv is ready."
