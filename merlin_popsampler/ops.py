"""The NVTabular operators, together, as NVTabular's own are."""

from .frequency_categorify import FrequencyCategorify
from .frequency_order import FrequencyOrder

__all__ = ["FrequencyCategorify", "FrequencyOrder"]
