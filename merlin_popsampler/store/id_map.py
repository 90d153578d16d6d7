"""Maps the ids of an earlier fit to those of a later fit, by the keys that both fits have."""

from typing import Any, Optional

import numpy as np

from merlin_popsampler.core.domain import FIRST_OOV_ID
from merlin_popsampler.core.id_map import IdMap

from .key_match import positions
from .keyed_ids import keyed_ids


def id_map(old: Any, new: Any, column: Optional[str] = None) -> IdMap:
    """Maps the ids of an earlier fit to the ids that the same keys have in a later fit.

    Pass the result to `warm_start`, which moves the rows of embedding tables. Padding and null keep
    their ids. Unknown keys do so if both fits reserve the same number of ids for them, and
    otherwise have no new id. Keys are compared by value: 2 and 2.0 are one key.

    Args:
      old: the earlier fit: a fitted workflow or operator; the path of a saved workflow, of an
        operator's `out_path` or of a data set; or a Schema, Dataset or Loader whose `cat_path` can
        be read.
      new: the later fit, in one of these forms.
      column: name of the column. None takes the column that is tagged as item id, or the only
        vocabulary of a folder or operator.

    Returns:
      An `IdMap`. `new_ids` (int64 `[old max_id + 1]`) is the new id of each old id, or -1.
      `old_ids` (int64 `[new max_id + 1]`) is the old id of each new id, or -1.

    Raises:
      PopSamplerError: the keys of a fit cannot be read; or the fits are of different columns or
        types of keys.

    Examples:
      >>> import pandas as pd
      >>> from merlin.io import Dataset
      >>> from nvtabular import Workflow
      >>> from merlin_popsampler import FrequencyCategorify
      >>> monday, tuesday = (
      ...     Workflow(["item"] >> FrequencyCategorify()).fit(
      ...         Dataset(pd.DataFrame({"item": items}), cpu=True)
      ...     )
      ...     for items in (["tea", "tea", "rice"], ["rice", "rice", "milk", "tea"])
      ... )
      >>> id_map(monday, tuesday, "item").new_ids.tolist()  # tea was 3, rice was 4
      [0, 1, 2, 5, 3]
    """
    before, now = keyed_ids(old, column), keyed_ids(new, column)
    new_ids = np.full(before.domain.cardinality, -1)
    shared = _reserved(before.domain.min_id, now.domain.min_id)
    new_ids[:shared] = np.arange(shared)
    for later_ids, known in now.parts():
        for every, keys in before.parts():
            missing = new_ids[every] < 0
            if not missing.any():
                continue
            ids, asked = (every, keys) if missing.all() else (every[missing], keys.filter(missing))
            index = positions(asked, known, before.history.name)
            found = index >= 0
            if not found.all():
                ids, index = ids[found], index[found]
            new_ids[ids] = later_ids[index]
    return IdMap(new_ids, before.domain, now.domain)


def _reserved(before: int, now: int) -> int:
    """Returns how many reserved ids, from 0 on, have the same meaning in both fits.

    Args:
      before: number of reserved ids of the old fit: padding, null and unknown keys.
      now: number of reserved ids of the new fit.
    """
    return before if before == now else min(before, now, FIRST_OOV_ID)
