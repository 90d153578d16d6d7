#!/usr/bin/env bash
# Guess:    a requirement of an extra matters to those who ask for the extra. With --no-deps, no requirement matters.
# Happens:  pip 26.3 refuses a package of PyPI if any of its extras names a direct URL, whether or not the extra is asked for, and
#           with --no-deps as well. pip 26.0 installs it.
# Versions: pip 26.3 and 26.0; merlin-dataloader 23.8.0, whose extra "dev" names a URL.
# Matters:  old packages cannot be mended: merlin-dataloader, merlin-models and Transformers4Rec can no longer be
#           installed with a new pip, however exactly they are pinned. uv installs them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
declare -A found
for version in 26.0 26.3; do
  "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "pip==$version" "setuptools==80.9.0" "wheel==0.45.1"
  # The package is given as source: its metadata come from a build in this environment.
  if "$folder/venv/bin/python" -m pip install --dry-run --no-deps --no-build-isolation --disable-pip-version-check \
    merlin-dataloader==23.8.0 >"$folder/log" 2>&1; then found[$version]=accepted; else found[$version]=refused; fi
  echo "pip $version, --no-deps, no extra: ${found[$version]}"
  grep -iE "direct URL|depends on|would install" "$folder/log" || tail -n 3 "$folder/log"
done
[[ ${found[26.0]} == accepted && ${found[26.3]} == refused ]] || { echo "The behaviour has changed." >&2; exit 1; }
