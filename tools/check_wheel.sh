#!/usr/bin/env bash
# Builds the wheel and uses it as a stranger would: in a new environment that holds what the package
# itself asks for and nothing else, from an empty folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

tools/venv.sh main # for its interpreter, whatever its version
tools/venv.sh lint
uv=$root/.venv-lint/bin/uv
pins=constraints/merlin.txt
[[ "$(.venv/bin/python -c 'import sys; print(sys.version_info[:2] == (3, 11))')" == True ]] || pins=constraints/merlin-py38.txt

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/empty"
unset PYTHONPATH VIRTUAL_ENV

"$uv" build --quiet --wheel --out-dir "$work/dist" "$root"
"$uv" venv --quiet --python .venv/bin/python "$work/venv"
"$uv" pip install --quiet --python "$work/venv" --constraint "$pins" \
  --build-constraint constraints/build.txt "$work"/dist/*.whl
cd "$work/empty"
"$work/venv/bin/python" - "$work"/dist/*.whl <<'PYTHON'
import importlib.metadata
import sys
import zipfile
from importlib.util import find_spec

import merlin_popsampler
from merlin_popsampler import PopSamplerError, PopularityMetadata

wheel = zipfile.ZipFile(sys.argv[1])
folders = {name.split("/")[0] for name in wheel.namelist()}
checks = {
    "imported from the wheel": "site-packages" in merlin_popsampler.__file__,
    "the version is the wheel's": merlin_popsampler.__version__
    == importlib.metadata.version("merlin-popsampler"),
    "typed": "merlin_popsampler/py.typed" in wheel.namelist(),
    "the licence is inside": any(name.endswith("LICENSE") for name in wheel.namelist()),
    "nothing else is inside": len(folders) == 2,
    "without TensorFlow": find_spec("tensorflow") is None,
    "without NVTabular": find_spec("nvtabular") is None,
    "the core works": PopularityMetadata(3, 10, False, "counted").domain.size == 8,
    "errors are ours": issubclass(PopSamplerError, ValueError),
}
for check, passed in checks.items():
    print(f"  {'ok' if passed else 'FAILED'}: {check}")
sys.exit(0 if all(checks.values()) else 1)
PYTHON
printf '%s\n' "The wheel works: $(basename "$work"/dist/*.whl)"
