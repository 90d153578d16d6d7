"""Draws in an environment that was just installed, and compares the ids with golden ones.

With PyTorch, it also traces the loss as one graph, and compares it with eager mode. With NVTabular,
it also writes a schema as `to_parquet` does.

`installs_check.py GOLDEN [MODULE ...]`: the file of golden samplers, and modules to import. The
last line printed tells that all is well: many libraries print notes and warnings before it.
"""

import hashlib
import importlib
import json
import sys
from pathlib import Path

import numpy as np

from merlin_popsampler import compat
from merlin_popsampler.core.distributions import LogUniform
from merlin_popsampler.core.draws import make_draws
from merlin_popsampler.core.reference_draw import draw_ranks
from merlin_popsampler.core.stream_keys import seed_key

CASE, MIN_ID, SIZE, DRAWS, SEED = "log-uniform, 20 of 400", 3, 400, 20, 17


def check(ids, batch, source):
    """Raises an error if ids differ from the golden ones."""
    digest = hashlib.sha256(np.asarray(ids).astype("<i8").tobytes()).hexdigest()
    if digest != batch["sha256"]:
        raise SystemExit(f"{source} drew {np.asarray(ids).tolist()}, not {batch['first']}...")


def check_one_graph():
    """Raises an error if PyTorch cannot compile the loss as one graph, or computes another loss."""
    import torch

    from merlin_popsampler.torch import InBatch, PopularityBasedSampler, SampledSoftmaxLoss

    counts, found = np.arange(SIZE, 0, -1), []
    queries, table = torch.ones(8, 4), torch.nn.Embedding(SIZE, 4)
    for compiled in (True, False):
        sampler = PopularityBasedSampler.from_counts(counts, max_num_samples=DRAWS, seed=SEED)
        loss = SampledSoftmaxLoss([sampler, InBatch.from_counts(counts)])
        call = torch.compile(loss, backend="eager", fullgraph=True) if compiled else loss
        found.append(call(queries, torch.arange(8), table).item())
    if found[0] != found[1]:
        raise SystemExit(f"the loss is {found[0]} in a graph, and {found[1]} in eager mode")


def check_schema_file():
    """Raises an error if Merlin cannot write a schema, since its protobuf is of another version."""
    from merlin.schema import Schema
    from merlin.schema.io.tensorflow_metadata import TensorflowMetadata

    if "item" not in TensorflowMetadata.from_merlin_schema(Schema(["item"])).to_proto_text():
        raise SystemExit("Merlin wrote a schema without its column")


def main():
    """Draws by NumPy and by each framework among the modules."""
    golden, needed = json.loads(Path(sys.argv[1]).read_text())[CASE], sys.argv[2:]
    if "nvtabular" in needed:
        compat.enable()
    for name in needed:
        importlib.import_module(name)
    for position, batch in enumerate(golden):
        ranks = draw_ranks(make_draws(LogUniform(SIZE), DRAWS), seed_key(SEED), position)
        check(ranks + MIN_ID, batch, "NumPy")
    for name in {"torch", "tensorflow"} & set(needed):
        folder = {"torch": "torch", "tensorflow": "tf"}[name]
        sampler = importlib.import_module(f"merlin_popsampler.{folder}").PopularityBasedSampler(
            MIN_ID + SIZE - 1, MIN_ID, DRAWS, SEED
        )
        for batch in golden:
            check(sampler.sample_ids().numpy(), batch, name)
    if "torch" in needed:
        check_one_graph()
    if "nvtabular" in needed:
        check_schema_file()
    print("this environment draws the golden ids")


main()
