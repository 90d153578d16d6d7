"""Tests random sequences of fits, saves, loads, moves and removals against a plain model.

The model knows the keys and the folder of each workflow's fit. While the folder exists, the
workflow must encode by it. Without it, the workflow may raise an error of this package, or encode
by what it still has in memory. It must never encode by another fit.
"""

import os
import pickle
import shutil
import tempfile
from dataclasses import dataclass, replace
from typing import List, Optional

import cloudpickle
import nvtabular as nvt
import pandas as pd
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from merlin_popsampler import FrequencyCategorify, PopSamplerError
from tests.support.workflow_helpers import dataset, expected_ids, forget_vocabularies

pytestmark = pytest.mark.filterwarnings("ignore")
KEYS = ["abc", "cccca", "bbdddd", "aab", "baa"]
PROBE = pd.DataFrame({"item": list("abcdz")})
SLOTS, PLACES = st.integers(0, 1), st.integers(0, 2)


@dataclass(frozen=True)
class Model:
    """Holds the expected state of a workflow.

    Args:
      keys: the keys of its fit; None before a fit.
      where: folder of its fit.
      out: folder of its next fit.
      there: whether that folder still exists.
    """

    keys: Optional[str]
    where: str
    out: str
    there: bool = True


def first_and_second(keys: str) -> List[List[str]]:
    """Returns the keys of two columns; the second merges a with b and c with d."""
    return [list(keys), list(keys.translate(str.maketrans("bd", "ac")))]


def two_operators(out_path):
    """Returns two branches of one column, in one folder."""
    merged = ["item"] >> nvt.ops.LambdaOp(lambda c: c.replace({"b": "a", "d": "c"}))
    merged = merged >> FrequencyCategorify(out_path=out_path) >> nvt.ops.Rename(postfix="_merged")
    return nvt.Workflow((["item"] >> FrequencyCategorify(out_path=out_path)) + merged)


class LifeOfFits(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.root = tempfile.mkdtemp()
        self.saves = {}

    @initialize(shared=st.booleans())
    def begin(self, shared):
        outs = [f"{self.root}/out{0 if shared else slot}" for slot in range(2)]
        self.workflows = [two_operators(out) for out in outs]
        self.models = [Model(None, out, out) for out in outs]

    def teardown(self):
        shutil.rmtree(self.root)

    def place(self, number):
        return f"{self.root}/save{number}"

    @rule(slot=SLOTS, keys=st.sampled_from(KEYS))
    def fit(self, slot, keys):
        self.workflows[slot].fit(dataset(pd.DataFrame({"item": list(keys)}), 2))
        out = self.models[slot].out
        self.models[slot] = Model(keys, out, out)

    @rule(slot=SLOTS)
    def fail(self, slot):
        with pytest.raises(PopSamplerError):
            self.workflows[slot].fit(dataset(pd.DataFrame({"item": ["a", 1]}), 1))

    @rule(slot=SLOTS, number=PLACES)
    def save(self, slot, number):
        model, place = self.models[slot], self.place(number)
        if model.keys is None:
            return
        try:
            self.workflows[slot].save(place)
        except PopSamplerError:
            assert not model.there
            return
        self.saves[place] = model.keys
        self.models[slot] = replace(model, where=place, there=True)

    @precondition(lambda self: self.saves)
    @rule(slot=SLOTS, number=PLACES)
    def load(self, slot, number):
        place = self.place(number)
        if place in self.saves:
            self.workflows[slot] = nvt.Workflow.load(place)
            self.models[slot] = Model(self.saves[place], place, place)

    @precondition(lambda self: self.saves)
    @rule(old=PLACES, new=PLACES)
    def move(self, old, new):
        old, new = self.place(old), self.place(new)
        if old in self.saves and not os.path.exists(new):
            os.rename(old, new)
            self.saves[new] = self.saves.pop(old)
            self.lose(old)

    @rule(slot=SLOTS)
    def copy(self, slot):
        """Replaces the other workflow by a pickled copy of this one."""
        self.workflows[1 - slot] = pickle.loads(cloudpickle.dumps(self.workflows[slot]))
        self.models[1 - slot] = self.models[slot]

    @rule(number=PLACES)
    def remove_a_save(self, number):
        self.remove(self.place(number))

    @rule(slot=SLOTS)
    def remove_what_was_fitted(self, slot):
        self.remove(self.models[slot].where)

    def remove(self, folder):
        shutil.rmtree(folder, ignore_errors=True)
        self.saves.pop(folder, None)
        self.lose(folder)

    def lose(self, folder):
        self.models = [
            replace(model, there=model.there and model.where != folder) for model in self.models
        ]

    @rule(slot=SLOTS)
    def transform(self, slot):
        model = self.models[slot]
        if model.keys is None:
            return
        forget_vocabularies()
        try:
            found = self.workflows[slot].transform(PROBE)
        except PopSamplerError:
            assert not model.there
            return
        for column, keys in zip(("item", "item_merged"), first_and_second(model.keys)):
            ids = expected_ids(keys)
            probe = first_and_second("abcdz")[column != "item"]
            assert found[column].tolist() == [ids.get(key, 2) for key in probe]


LifeOfFits.TestCase.settings = settings(max_examples=30, stateful_step_count=20)
TestLifeOfFits = LifeOfFits.TestCase
