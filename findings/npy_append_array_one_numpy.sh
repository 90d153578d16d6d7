#!/usr/bin/env bash
# Guess:    a package that works with NumPy 1.24.3 and 1.25.0 works with 1.24.4, a release of fixes between them.
# Happens:  npy-append-array is imported with 1.23.5, 1.24.3, 1.25.0 and 1.26.4, and fails with 1.24.4 alone: "cannot import
#           name 'isfileobj' from 'numpy.lib.format'". It imports a helper of NumPy's that this one release calls otherwise.
# Versions: npy-append-array 0.9.19; the five releases of NumPy.
# Matters:  1.24.4 is the last NumPy for Python 3.8, so a fresh install there takes it. merlin-core imports
#           npy-append-array, so NVTabular cannot be imported. A pin of "numpy<1.25" leads everybody to it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" --quiet --disable-pip-version-check install)
"${pip[@]}" --no-deps npy-append-array==0.9.19
failed=()
for numpy in 1.23.5 1.24.3 1.24.4 1.25.0 1.26.4; do
  "${pip[@]}" "numpy==$numpy"
  if said=$("$folder/venv/bin/python" -W ignore -c "import npy_append_array" 2>&1); then
    echo "NumPy $numpy: npy-append-array 0.9.19 is imported"
  else
    echo "NumPy $numpy: $(grep -o "ImportError.*lib.format'" <<<"$said")"
    failed+=("$numpy")
  fi
done
[[ ${failed[*]} == 1.24.4 ]] || { echo "The behaviour has changed."; exit 1; }
