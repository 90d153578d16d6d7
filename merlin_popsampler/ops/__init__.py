"""NVTabular's side: the two operators, and the counting, ordering and encoding that they do.

It may import `errors`, `core`, `contract`, `store`, NVTabular and Merlin's data frames; never a
deep-learning framework.
"""

from .frequency_categorify import FrequencyCategorify
from .frequency_order import FrequencyOrder

__all__ = ["FrequencyCategorify", "FrequencyOrder"]
