#!/usr/bin/env bash
# Runs other people's own tests with our classes in the place of theirs.
#
#   tools/conformance.sh nvtabular /path/to/NVTabular    its tests of Categorify, and of workflows
#   tools/conformance.sh merlin-models                   its tests of contrastive output, sampling, retrieval models
#
# The path is a clone of https://github.com/NVIDIA-Merlin/NVTabular, bare or not, which has the tag of the NVTabular
# that is installed; Merlin Models' tests come with its source package, by pip. They go into a temporary folder.
# Those that cannot pass are listed in tools/conformance/, each with its error and its reason; the exit status is 0
# only if exactly these fail, and for that error. VENV=.venv-py313 takes that environment in place of .venv.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/${VENV:-.venv}/bin/python
readonly NVTABULAR=v23.08.00 MERLIN_MODELS=23.12.0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/stubs"
# Their conftest and helpers import these, for benchmarks and reports that none of the tests runs.
for module in asvdb git fiddle wandb; do
  printf 'def __getattr__(name):\n    return None\n' >"$work/stubs/$module.py"
done

choice=()
case ${1:-} in
nvtabular)
  clone=$(cd "${2:?a clone of NVTabular}" && pwd)
  git -C "$clone" archive "$NVTABULAR" tests pytest.ini | tar -x -C "$work"
  plugin=nvtabular_tests
  tests=(tests/unit/ops/test_categorify.py tests/unit/workflow)
  ;;
merlin-models)
  "$python" -m venv "$work/pip"
  "$work/pip/bin/python" -m pip --quiet download --no-deps --no-binary :all: --dest "$work" "merlin-models==$MERLIN_MODELS"
  tar -xzf "$work"/merlin*models-*.tar.gz -C "$work" --strip-components 1 --wildcards '*/tests' '*/pytest.ini'
  plugin=merlin_models_tests
  tests=(tests/unit/tf/outputs/test_contrastive.py tests/unit/tf/outputs/test_sampling.py
    tests/unit/tf/prediction_tasks/test_sampling.py tests/unit/tf/models/test_retrieval.py)
  # They read a data set that does not come with the package.
  choice=(-k "not advanced_options")
  ;;
*)
  sed -n '2,5p' "$0" >&2
  exit 2
  ;;
esac
cd "$work"
export PYTHONPATH=$root:$root/tools/conformance:$work/stubs
"$python" -m pytest -p merlin_popsampler.compat.preload -p "$plugin" -W ignore -rxX "${choice[@]}" "${tests[@]}"
