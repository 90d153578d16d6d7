"""What a server that asks for an encoder of its own is given."""

import nvtabular as nvt
import pandas as pd
import pytest

from merlin_popsampler import FrequencyCategorify
from tests.support.workflow_helpers import dataset, fitted


def served(operator, workflow, requests):
    """Ids of requests, as a server makes them: with the operator's own encoder where it has one."""
    columns = nvt.ColumnSelector(list(requests))
    encoder = operator.inference_initialize(columns, {})
    if encoder is None:
        return workflow.transform(requests)
    tensors = {name: requests[name].to_numpy() for name in requests}
    return pd.DataFrame(encoder.transform(columns, tensors))


@pytest.mark.parametrize(
    ("keys", "options", "requests", "expected"),
    [
        (["a", "a", "b"], {}, ["b", "a", "z", None], [4, 3, 2, 1]),
        ([2, 2, 7], {"num_buckets": 3}, [2, 7, 2], [5, 6, 5]),
        ([2, 2, 7], {}, [2.5, 2.0, 7.9], [2, 3, 2]),
        ([0.5, 0.5, 0.25], {}, [0.25, 0.5, 0.75], [4, 3, 2]),
        ([True, True, False], {}, [False, True], [4, 3]),
    ],
)
def test_a_server_gives_the_ids_of_the_training_data(keys, options, requests, expected, out_path):
    operator = FrequencyCategorify(out_path=out_path, **options)
    workflow = fitted(["item_id"] >> operator, dataset(pd.DataFrame({"item_id": keys}), 1))
    ids = served(operator, workflow, pd.DataFrame({"item_id": requests}))
    assert ids["item_id"].tolist() == expected


def test_a_server_knows_joint_vocabularies(out_path):
    operator = FrequencyCategorify(out_path=out_path)
    frame = pd.DataFrame({"a": [1, 1, 2], "b": [2, 3, 1]})
    workflow = fitted([["a", "b"]] >> operator, dataset(frame, 1))
    ids = served(operator, workflow, frame)
    assert ids.to_dict("list") == {"a": [3, 3, 4], "b": [4, 5, 3]}
