#!/usr/bin/env bash
# Guess:    a layer that is saved and loaded, or cloned, trains with the same loss as before.
# Happens:  ContrastiveOutput leaves logq_sampling_correction out of its configuration: the copy trains without the correction, as
#           if it had never been asked for. Nothing warns.
# Versions: merlin-models 23.12.0, TensorFlow 2.12.0.
# Matters:  training that goes on from a saved model unlearns popularity, or learns it twice, from that day on. Losses before
#           and after are not comparable.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  merlin-models==23.12.0 merlin-core==23.8.0 merlin-dataloader==23.8.0 tensorflow-cpu==2.12.0 keras==2.12.0 \
  tensorflow-metadata==1.16.1 protobuf==4.25.9 dask==2023.3.2 distributed==2023.3.2.1 dask-cuda==23.6.0 \
  pandas==1.5.3 numpy==1.23.5 pyarrow==15.0.2 scipy==1.15.3 numba==0.68.1 "setuptools==80.9.0"
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=""
"$folder/venv/bin/python" -W ignore - 2>"$folder/log" <<'PY' || { tail -n 5 "$folder/log" >&2; exit 1; }
import sys
from importlib.metadata import version

from merlin.models.tf.outputs.contrastive import ContrastiveOutput
from merlin.schema import ColumnSchema, Tags

domain = {"domain": {"min": 0, "max": 99, "name": "item"}}
item = ColumnSchema("item", dtype="int64", tags=[Tags.CATEGORICAL, Tags.ITEM_ID], properties=domain)
print(f"merlin-models {version('merlin-models')}: ContrastiveOutput and its copy by get_config and from_config")
settings = {"logq_sampling_correction": True, "downscore_false_negatives": False, "false_negative_score": -7.0}
output = ContrastiveOutput(to_call=item, negative_samplers="in-batch", **settings)
copy = ContrastiveOutput.from_config(output.get_config())
found = {}
for name in settings:
    found[name] = getattr(output, name), getattr(copy, name)
    print(f"{name}: {found[name][0]}, copy {found[name][1]}")
lost = [name for name, (before, after) in found.items() if before != after]
sys.exit(0 if lost == ["logq_sampling_correction"] else "The behaviour has changed.")
PY
