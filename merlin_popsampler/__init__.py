"""Encodes items in frequency order, and samples negatives by popularity with the logQ correction.

Each folder imports only the folders before it, and frameworks never import each other:

- `errors`: the exceptions that the package raises;
- `core`: the mathematics, in NumPy;
- `contract`: the schema contract, and the arguments of samplers that follow from it;
- `store`: the files that a fit writes;
- `ops`: the NVTabular operators;
- `tf`: the Keras layers that draw, correct and train;
- `torch`: the sampler and the loss as PyTorch modules;
- `cli`: the reports of `python -m merlin_popsampler`;
- `distributions`: the public names of the proposal distributions.

Importing this package loads neither TensorFlow, PyTorch, NVTabular nor cuDF. Each public name loads
what it needs on first use. If TensorFlow is loaded already, the import registers the Keras layers,
since a saved model can only find registered classes.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, List

from .errors import FrequencyOrderError, PopSamplerError, SchemaError

if TYPE_CHECKING:
    from .contract.counts import check_order, popularity_from
    from .contract.metadata import PopularityMetadata
    from .contract.schema import read_popularity
    from .core.domain import IdDomain
    from .core.id_map import IdMap
    from .ops.frequency_categorify import FrequencyCategorify
    from .ops.frequency_order import FrequencyOrder
    from .store.id_map import id_map
    from .store.keyed_ids import read_keys
    from .tf.sampler import PopularityBasedSampler

__version__ = "0.1.0"

_HOMES = {
    "FrequencyCategorify": "ops.frequency_categorify",
    "FrequencyOrder": "ops.frequency_order",
    "IdDomain": "core.domain",
    "IdMap": "core.id_map",
    "PopularityBasedSampler": "tf.sampler",
    "PopularityMetadata": "contract.metadata",
    "check_order": "contract.counts",
    "id_map": "store.id_map",
    "popularity_from": "contract.counts",
    "read_keys": "store.keyed_ids",
    "read_popularity": "contract.schema",
}

__all__ = [
    "FrequencyCategorify",
    "FrequencyOrder",
    "FrequencyOrderError",
    "IdDomain",
    "IdMap",
    "PopSamplerError",
    "PopularityBasedSampler",
    "PopularityMetadata",
    "SchemaError",
    "check_order",
    "id_map",
    "popularity_from",
    "read_keys",
    "read_popularity",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        folder = _HOMES[name].split(".")[0]
        if folder == "tf" and error.name == "tensorflow":
            needs = (
                "is a Keras layer, which needs TensorFlow. In PyTorch, import it from "
                f"{__name__}.torch."
            )
        elif folder == "ops":
            needs = (
                f"is an operator of NVTabular, but: {error}. Install the extra 'nvtabular', or "
                "build the sampler by from_counts."
            )
        elif folder == "store":
            needs = f"reads the files of fits, but: {error}. It needs fsspec, pandas and pyarrow."
        else:
            raise
        raise ModuleNotFoundError(f"{__name__}.{name} {needs}", name=error.name) from error
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(__all__))


if "tensorflow" in sys.modules and hasattr(sys.modules["tensorflow"], "keras"):
    import_module(".tf", __name__)
