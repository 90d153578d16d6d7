"""Lets NVTabular 23.8 and Merlin Models 23.12 run beside newer versions of what they import.

Their last releases ask for pandas below 1.6, dask of 2023 and TensorFlow below 2.13. Most of their
code runs on today's versions as it is; each adaptation below covers one place where it does not.
Nothing else in this package's library imports this module: a program asks for it.

Examples:
  >>> from merlin_popsampler import compat
  >>> in_effect = compat.enable()  # before the first import of merlin or nvtabular

  Workers of dask that `dask worker` starts take `--preload merlin_popsampler.compat.preload`; those
  of a `LocalCluster` get it by themselves.
"""

from typing import Tuple

from . import frames, keras2
from .adaptation import Adaptation

__all__ = ["ADAPTATIONS", "Adaptation", "enable"]

ADAPTATIONS: Tuple[Adaptation, ...] = (*frames.ADAPTATIONS, *keras2.ADAPTATIONS)


def enable() -> Tuple[str, ...]:
    """Puts every adaptation that the installed versions need into effect.

    Call it before the first import of `merlin`, `nvtabular`, `dask.dataframe` or `tensorflow`, in
    every process that starts afresh. It imports none of them. Calling it again changes nothing.
    Where Merlin's own versions are installed it does nothing.

    `TF_USE_LEGACY_KERAS=0` in the environment keeps Keras 3, and with it Merlin Models out.

    Returns:
      The names of the adaptations in effect, in the order of `ADAPTATIONS`; empty for none.

    Raises:
      PopSamplerError: dask's data frames or TensorFlow were imported before, in a way that Merlin
        cannot use, or the installed versions are ones that no adaptation covers.
    """
    keras2_refused = keras2.is_refused()
    needed = [
        adaptation
        for adaptation in ADAPTATIONS
        if adaptation.is_needed() and not (keras2_refused and adaptation in keras2.ADAPTATIONS)
    ]
    for adaptation in needed:
        adaptation.apply()
    return tuple(adaptation.name for adaptation in needed)
