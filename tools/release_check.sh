#!/usr/bin/env bash
# Builds the source archive and, from it, the wheel, and uses the wheel as a stranger would: installed
# into new environments, from a folder that holds no merlin_popsampler/.
#
#   tools/release_check.sh bare [pytest arguments]   what the package itself asks for, nothing else
#   tools/release_check.sh all [pytest arguments]    that, then every test under the pins of
#                                                    constraints/merlin.txt and of constraints/keras3.txt
#
# `make wheel` runs the first, `make release-check` the second, which says what each kind must have.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
kinds=${1:?bare or all}
shift

tools/venv.sh lint # for its interpreter and uv
python=$root/.venv-lint/bin/python
uv=$root/.venv-lint/bin/uv

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH VIRTUAL_ENV
build=(--build-constraint "$root/constraints/build.txt")

"$uv" build --quiet --out-dir "$work/dist" "$root"
wheel=$(echo "$work"/dist/*.whl)
archive=$(echo "$work"/dist/*.tar.gz)

printf '%s\n' "$(basename "$archive"), $(basename "$wheel")"
# The metadata, and the readme as the index will show it.
"$root/.venv-lint/bin/twine" check --strict "$archive" "$wheel"
"$python" - "$archive" "$wheel" <<'PYTHON'
import re
import sys
import tarfile
import zipfile

archive, inside = tarfile.open(sys.argv[1]), zipfile.ZipFile(sys.argv[2]).namelist()
root = archive.getnames()[0].split("/")[0]


def archived(name):
    return archive.extractfile(f"{root}/{name}").read().decode()


version = re.search(r'^__version__ = "(.+)"$', archived("merlin_popsampler/__init__.py"), re.M)[1]
newest = re.search(r"^## \[(.+?)\]", archived("CHANGELOG.md"), re.M)[1]
checks = {
    f"both files have __version__, {version}": all(f"-{version}" in path for path in sys.argv[1:]),
    f"the changelog begins with [{newest}]": newest in ("Unreleased", version),
    "typed": "merlin_popsampler/py.typed" in inside,
    "the licence is inside": any(name.endswith("LICENSE") for name in inside),
    "nothing else is inside": len({name.split("/")[0] for name in inside}) == 2,
}
for check, passed in checks.items():
    print(f"  {'ok' if passed else 'FAILED'}: {check}")
sys.exit(0 if all(checks.values()) else 1)
PYTHON

printf '%s\n' "in an environment of its own"
mkdir "$work/empty"
"$uv" venv --quiet --python "$python" "$work/bare"
"$uv" pip install --quiet --python "$work/bare" --constraint constraints/merlin.txt "${build[@]}" "$wheel"
(cd "$work/empty" && "$work/bare/bin/python" -) <<'PYTHON'
import sys
from importlib.util import find_spec
from pathlib import Path

import merlin_popsampler
from merlin_popsampler import PopSamplerError, PopularityMetadata

checks = {
    "imported from the wheel": Path(sys.prefix) in Path(merlin_popsampler.__file__).parents,
    "without TensorFlow": find_spec("tensorflow") is None,
    "without Merlin": find_spec("merlin") is None,
    "the core works": PopularityMetadata(3, 10, False, "counted").domain.size == 8,
    "errors are ours": issubclass(PopSamplerError, ValueError),
}
for check, passed in checks.items():
    print(f"  {'ok' if passed else 'FAILED'}: {check}")
sys.exit(0 if all(checks.values()) else 1)
PYTHON

printf '%s\n' "with the extra of PyTorch, in another"
"$uv" venv --quiet --python "$python" "$work/torch"
"$uv" pip install --quiet --python "$work/torch" --constraint constraints/torch.txt "${build[@]}" \
  "merlin-popsampler[torch] @ file://$wheel" merlin-core dask-cuda
(cd "$work/empty" && "$work/torch/bin/python" -W ignore -) <<'PYTHON'
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from merlin.schema import ColumnSchema, Schema, Tags
from merlin.schema.io.tensorflow_metadata import TensorflowMetadata

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.contract.schema import with_popularity
from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss

counted = PopularityMetadata(3, 10, True, "counted", steps="3:9,4:5,5:6,7:4,11")
column = with_popularity(ColumnSchema("item", tags=[Tags.ITEM_ID], dtype="int64"), counted)
Path("schema.json").write_text(TensorflowMetadata.from_merlin_schema(Schema([column])).to_json())
schema = TensorflowMetadata.from_json(Path("schema.json").read_text()).to_merlin_schema()
sampler = PopularityBasedSampler.from_schema(schema, max_num_samples=8, seed=17)
items, true_ids = torch.nn.Embedding(11, 4), torch.tensor([3, 10])
loss = SampledSoftmaxLoss(sampler)(torch.ones(2, 4), true_ids, items)
full = torch.nn.functional.cross_entropy(torch.ones(2, 4) @ items.weight[3:].T, true_ids - 3)
checks = {
    "without TensorFlow": find_spec("tensorflow") is None,
    "without NVTabular": find_spec("nvtabular") is None,
    "a schema's JSON makes the sampler": repr(sampler.distribution) == "Empirical(size=8)",
    "all items drawn are the catalog": sorted(sampler.sample_ids().tolist()) == list(range(3, 11)),
    "whose loss is the full softmax": abs(float(loss - full)) < 1e-5,
}
for check, passed in checks.items():
    print(f"  {'ok' if passed else 'FAILED'}: {check}")
sys.exit(0 if all(checks.values()) else 1)
PYTHON
rm -rf "$work/torch"

if [[ $kinds == all ]]; then
  # Every process of pytest says that it imports the installed package, or stops.
  mkdir "$work/plugin"
  cat >"$work/plugin/from_the_wheel.py" <<'PYTHON'
import sys
from pathlib import Path

import pytest


def pytest_sessionstart(session):
    import merlin_popsampler

    file = Path(merlin_popsampler.__file__)
    if Path(sys.prefix) not in file.parents:
        raise pytest.UsageError(f"Expected the package of the wheel. Received: {file}.")
    print(f"package: {file}")
PYTHON
  for kind in merlin keras3; do
    printf '\n%s\n' "the tests under constraints/$kind.txt"
    needed=NEEDED_$kind
    # What the archive holds beside the package: tests, workflows, documents.
    mkdir "$work/$kind"
    tar -xzf "$archive" -C "$work/$kind" --strip-components 1
    rm -r "$work/$kind/merlin_popsampler"

    "$uv" venv --quiet --python "$python" "$work/venv-$kind"
    "$uv" pip sync --quiet --python "$work/venv-$kind" "${build[@]}" "constraints/$kind.txt"
    "$uv" pip install --quiet --python "$work/venv-$kind" --no-deps "$wheel"
    "$uv" pip check --python "$work/venv-$kind"
    cd "$work/$kind"
    PYTHONPATH=$work/plugin POPSAMPLER_REQUIRE=${!needed:?run make release-check} \
      "$work/venv-$kind/bin/python" -m pytest -p from_the_wheel -n "${WORKERS:-2}" --dist loadfile "$@"
    cd "$root"
    rm -rf "$work/venv-$kind" "${work:?}/$kind"
  done
fi
printf '%s\n' "The wheel works: $(basename "$wheel")"
