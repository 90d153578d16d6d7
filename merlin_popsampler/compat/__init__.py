"""Lets NVTabular 23.8 and Merlin Models 23.12 run with newer versions of their dependencies.

Their last releases require pandas below 1.6, dask of 2023 and TensorFlow below 2.13. Most of their
code runs on today's versions unchanged. Each adaptation covers one place that does not. The package
itself never imports this module. Programs import it.

Examples:
  >>> from merlin_popsampler import compat
  >>> in_effect = compat.enable()  # before the first import of merlin or nvtabular

  Start workers by `dask worker --preload merlin_popsampler.compat.preload`. The workers of a
  `LocalCluster` preload it by themselves.
"""

from typing import List, Tuple

from . import expressions, frames, keras2
from .adaptation import Adaptation

__all__ = ["ADAPTATIONS", "Adaptation", "enable"]

ADAPTATIONS: Tuple[Adaptation, ...] = (
    *frames.ADAPTATIONS,
    *expressions.ADAPTATIONS,
    *keras2.ADAPTATIONS,
)

_applied: List[Adaptation] = []


def enable() -> Tuple[str, ...]:
    """Applies every adaptation that the installed versions need.

    Call it before the first import of `merlin`, `nvtabular`, `dask.dataframe` or `tensorflow`, in
    every process that is not forked. It imports none of them. A second call changes nothing. With
    Merlin's own versions it does nothing.

    `TF_USE_LEGACY_KERAS=0` in the environment keeps Keras 3, for programs without Merlin Models.

    Returns:
      The names of the adaptations in effect, in the order of `ADAPTATIONS`; empty for none.

    Raises:
      PopSamplerError: dask's data frames or TensorFlow were imported before, in a way that Merlin
        cannot use; or no adaptation covers the installed versions.

    Examples:
      >>> from merlin_popsampler import compat
      >>> compat.enable() == compat.enable()  # the second call changes nothing
      True
    """
    keras2_refused = keras2.is_refused()
    needed = [
        adaptation
        for adaptation in ADAPTATIONS
        if adaptation.is_needed() and not (keras2_refused and adaptation in keras2.ADAPTATIONS)
    ]
    for adaptation in needed:
        if adaptation not in _applied:
            adaptation.apply()
            _applied.append(adaptation)
    return tuple(adaptation.name for adaptation in needed)
