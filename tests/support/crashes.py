"""Interrupts operators at each call to the file system, and checks the files (`make crashes`).

A process that has imported everything and fitted a workflow forks for each case. The child does one
action, and its n-th call to the file system below its folder is disturbed. Then the child checks
the files, or another child does if it has died. The earlier fit or the new one must encode,
complete fits must be intact, and the next fit must remove all leftovers.
"""

import sys

sys.modules.setdefault("tensorflow", None)  # saves the time of its import

from merlin_popsampler import compat

compat.enable()  # before the first import of Merlin

import argparse
import errno
import gc
import json
import logging
import os
import pickle
import shutil
import signal
import tempfile
import time
import traceback
import uuid
import warnings
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import cloudpickle
import dask
import nvtabular as nvt
import pandas as pd
from merlin.io import Dataset

from merlin_popsampler import (
    FrequencyCategorify,
    FrequencyOrder,
    FrequencyOrderError,
    PopSamplerError,
)
from merlin_popsampler.cli.column_report import read_column_report
from merlin_popsampler.ops import stored_operator
from merlin_popsampler.store import artifact, locations
from tests.support.file_calls import CALLS, watch
from tests.support.workflow_helpers import (
    bytes_below,
    expected_ids,
    fit_folders,
    transformed_anew,
)

LATER, OLDER, OLD, NEW = "cabbbb", "aabc", "abbcccdddd", "aaaaabbbccd"
"""Keys of four fits, each with another order."""
PROBE = "abcdz"


# -- what happens --------------------------------------------------------------------------------


def error(call: str, path: str) -> None:
    raise OSError(errno.EIO, f"injected into {call}", path)


def interrupt(call: str, path: str) -> None:
    raise KeyboardInterrupt(f"injected into {call} of {path}")


def full(call: str, path: str) -> None:
    """Imitates a full disk, on which reads and removals still work."""
    if call in ("open to write", "write", "os.mkdir", "os.fsync", "os.rename"):
        raise OSError(errno.ENOSPC, f"injected into {call}", path)


def kill(*_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def gone(_: str, path: str) -> None:
    """Removes the file of the call, as another process would."""
    shutil.rmtree(path) if os.path.isdir(path) else Path(path).unlink(missing_ok=True)


def another(*_: str) -> None:
    """Fits in another process into the same folder."""
    status, said = forked(lambda: fit(of_another_process(), OLDER))
    assert status == 0, said


def of_another_process() -> nvt.Workflow:
    """Returns a workflow in this fork that knows only the files."""
    stored_operator._LIVE.clear()
    return STATE.make(f"{STATE.root}/out")


HAPPENINGS = (error, interrupt, full, kill, gone, another)


# -- what is done --------------------------------------------------------------------------------


def frame(keys: str) -> pd.DataFrame:
    return pd.DataFrame({"item": list(keys), "user": [ord(key) - ord("a") for key in keys]})


def fit(workflow: nvt.Workflow, keys: str) -> None:
    workflow.fit(Dataset(frame(keys), npartitions=1, cpu=True))


def two_columns(out_path: str) -> nvt.Workflow:
    encoder = FrequencyCategorify(out_path=out_path, split_out={"item": 2}, dtype="int8")
    return nvt.Workflow(["item", "user"] >> encoder)


def renumbered(out_path: str) -> nvt.Workflow:
    return nvt.Workflow(["user"] >> FrequencyOrder(on_violation="remap", out_path=out_path))


class State:
    """Holds a workflow that was fitted three times, pickled and saved, and an abandoned fit."""

    def __init__(self, make: Callable[[str], nvt.Workflow]) -> None:
        self.make, self.root = make, tempfile.mkdtemp(prefix="crashes")
        self.workflow = make(f"{self.root}/out")
        for keys in (LATER, OLDER, OLD):
            fit(self.workflow, keys)
        self.pickled = cloudpickle.dumps(self.workflow)
        self.earlier().save(f"{self.root}/saved")
        assert forked(self._give_up)[0] == -signal.SIGKILL
        (left,) = fit_folders(self.root, complete=False)
        left.rename(left.with_name(f"20200101{left.name[8:]}"))  # it counts as abandoned
        shutil.copytree(self.root, f"{self.root}.kept")

    def earlier(self) -> nvt.Workflow:
        return pickle.loads(self.pickled)

    def restore(self, damaged: bool) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(f"{self.root}.kept", self.root)
        for name in ("unique", "popularity") if damaged else ():
            for path in Path(self.root, "saved", "popsampler").rglob(f"{name}*.parquet"):
                path.write_bytes(b"PAR1") if path.is_file() else None

    def remove(self) -> None:
        shutil.rmtree(self.root)
        shutil.rmtree(f"{self.root}.kept")

    def _give_up(self) -> None:
        artifact.complete = kill
        fit(self.make(f"{self.root}/out"), NEW)


STATE: State


def fits() -> None:
    fit(STATE.workflow, NEW)
    check_ids(STATE.workflow, NEW)


def is_refused() -> None:
    """Runs a fit that its final check refuses, so that all of its files are removed."""
    with suppress(PopSamplerError):
        fit(STATE.workflow, "".join(map(chr, range(ord("a"), ord("a") + 200))))
    check_ids(STATE.workflow, OLD)


def saves() -> None:
    STATE.workflow.save(f"{STATE.root}/save")
    check_ids(STATE.workflow, OLD)


def saves_over_damage() -> None:
    """Saves over an earlier save of the same fit, whose files were cut."""
    STATE.workflow.save(f"{STATE.root}/saved")


def loads() -> None:
    check_ids(nvt.Workflow.load(f"{STATE.root}/saved"), OLD)


def reports() -> None:
    counts = read_column_report(f"{STATE.root}/out", "user").item_counts.tolist()
    assert counts in ([4, 3, 2, 1], [2, 1, 1]), counts


DONE = {
    two_columns: (fits, is_refused, saves, saves_over_damage, loads, reports),
    renumbered: (fits, saves, loads, reports),
}
CLEARLY = (OSError, KeyboardInterrupt, PopSamplerError)
"""Errors that an interrupted action may raise."""
SPOILT = (PopSamplerError, EOFError, pickle.UnpicklingError, json.JSONDecodeError)
"""Errors that loading a damaged save may raise: NVTabular writes its files in place."""


# -- what is left --------------------------------------------------------------------------------


def check_ids(workflow: nvt.Workflow, *possible: str) -> None:
    """Checks that the workflow encodes as one of these fits does."""
    made = transformed_anew(workflow, frame(PROBE))
    found = {name: made[name].tolist() for name in made}
    assert found in [expected(keys) for keys in possible], f"{found}, not as of {possible}"


def expected(keys: str) -> Dict[str, List[int]]:
    given, probe = frame(keys), frame(PROBE)
    if STATE.make is renumbered:
        ids = expected_ids(given["user"], 0)
        return {"user": [ids.get(user, user) for user in probe["user"]]}
    known = {name: expected_ids(given[name]) for name in given}
    return {name: [known[name].get(key, 2) for key in probe[name]] for name in probe}


def check_live(done: Callable[[], None], refusals: Tuple[type, ...]) -> None:
    """Checks that the interrupted workflow encodes by the earlier fit or by the new one.

    A FrequencyOrder that renumbers may require a new fit, since its input may have changed.
    """
    if STATE.make is renumbered:
        refusals = (*refusals, FrequencyOrderError)
    with suppress(*refusals):
        check_ids(STATE.workflow, OLD, *([NEW] if done is fits else []))


def check_left(done: Callable[[], None], refusals: Tuple[type, ...]) -> None:
    """Checks that earlier fits still encode, and that actions a day later remove all leftovers."""
    locations._ABANDONED = timedelta(0)
    with suppress(*refusals):
        check_ids(STATE.earlier(), OLD)
    with suppress(*refusals, *(SPOILT if done is saves_over_damage else ())):
        check_ids(nvt.Workflow.load(f"{STATE.root}/saved"), OLD)
    if done is saves_over_damage:
        with suppress(*refusals):
            STATE.earlier().save(f"{STATE.root}/saved")
    # A pickle may use an older fit, damaged or not. It is removed once no operator uses it.
    gc.collect()
    for _ in range(stored_operator._KEPT if refusals else 1):
        fit(STATE.workflow, LATER)
    check_ids(STATE.workflow, LATER)
    check_whole(f"{STATE.root}/out", refusals)
    if done in (saves, saves_over_damage):
        place = f"{STATE.root}/{'save' if done is saves else 'saved'}"
        STATE.workflow.save(place)
        check_ids(nvt.Workflow.load(place), LATER)
        check_whole(place, refusals)


def by_another(done: Callable[[], None]) -> None:
    """Runs in another process, since the interrupted one has died."""
    STATE.workflow = of_another_process()
    check_left(done, ())


def check_whole(root: str, refusals: Tuple[type, ...]) -> None:
    """Checks that a folder holds complete fits, copies of the last one, and nothing else.

    Files of a damaged fit may be missing or cut; readers refuse them.
    """
    left = bytes_below(root)
    for manifest in [path for path in left if path.endswith("/manifest.json")]:
        for column in json.loads(left.pop(manifest))["columns"].values():
            for files in column["files"].values():
                for file, digest in files.items():
                    content = left.pop(f"{os.path.dirname(manifest)}/{file}", None)
                    if not refusals:
                        assert blake2b(content, digest_size=16).hexdigest() == digest, file
    last = STATE.workflow.output_node.op.fits.values()
    copies = {f"categories/{file}": content for found in last for file, content in found.contents()}
    left = {path: left[path] for path in left.keys() - {"workflow.pkl", "metadata.json"}}
    assert left == (copies if STATE.make is two_columns else {}), list(left)
    for folder in Path(root).rglob(".fits"):
        assert all((fit / "manifest.json").exists() for fit in folder.iterdir()), "folders are left"


# -- cases ---------------------------------------------------------------------------------------


def forked(function: Callable[[], Any]) -> Tuple[int, str]:
    """Runs an action in a child; returns its status (negative for a signal) and its answer."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        said, status = "", 1
        try:
            said, status = str(function()), 0
        except BaseException:  # noqa: BLE001 - the parent is told
            said = traceback.format_exc()
        finally:
            os.write(writes, said[-4000:].encode())
            os._exit(status)
    os.close(writes)
    with os.fdopen(reads, errors="replace") as pipe:
        said = pipe.read()
    status = os.waitpid(child, 0)[1]
    killed = os.WIFSIGNALED(status)
    return -os.WTERMSIG(status) if killed else os.WEXITSTATUS(status), said


def case(done: Callable[[], None], happens: Callable[[str, str], None], at: int) -> int:
    """Runs in a child: acts, disturbs one call, checks, and returns the number of calls."""
    refusals = (*CLEARLY, *SPOILT) if happens is gone else ()
    numbers = Random(17)  # dask orders tasks by names, and calls must have a fixed order
    uuid.uuid4 = lambda: uuid.UUID(int=numbers.getrandbits(128))
    CALLS.begin(STATE.root, at, happens)
    try:
        done()
    except CLEARLY:
        assert happens is not another, "it must not be noticed"
    finally:
        number = CALLS.end()
    try:
        check_live(done, refusals)
        check_left(done, refusals)
    except Exception as failure:
        raise AssertionError(f"at {CALLS.made}") from failure
    return number


def problems_of(done: Callable[[], None], happens: Callable[[str, str], None], at: int) -> str:
    """Returns the problem after a disturbed call; "" if there is none."""
    STATE.restore(damaged=done is saves_over_damage)
    status, said = forked(lambda: case(done, happens, at))
    if happens is kill and status == -signal.SIGKILL:
        status, said = forked(lambda: by_another(done))
    return said if status else ""


def cases(names: Sequence[str]) -> Iterator[Tuple[Callable, Callable, Callable, int]]:
    """Yields maker, action, disturbance, and number of the call."""
    global STATE  # noqa: PLW0603 - forks find it there
    for make, actions in DONE.items():
        chosen = [done for done in actions if done.__name__ in (names or [done.__name__])]
        if not chosen:
            continue
        STATE = State(make)
        for done in chosen:
            STATE.restore(damaged=done is saves_over_damage)
            status, said = forked(lambda done=done: case(done, error, 0))
            assert status == 0, said
            print(make.__name__, done.__name__, f"{said} calls", flush=True)
            for happens in HAPPENINGS:
                for at in range(1, int(said) + 1):
                    yield make, done, happens, at
        STATE.remove()


def main() -> None:
    """Tries all cases, or some, and prints those that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="one case in so many")
    parser.add_argument(
        "--done", nargs="*", help=f"of {[done.__name__ for done in DONE[two_columns]]}"
    )
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    dask.config.set(scheduler="synchronous")  # a fork has none of its parent's threads
    watch()
    began, tried = time.monotonic(), Counter()
    for number, (make, done, happens, at) in enumerate(cases(given.done)):
        if number % given.every == 0:
            problem = problems_of(done, happens, at)
            tried["wrong" if problem else "right"] += 1
            if problem:
                print(make.__name__, done.__name__, happens.__name__, at, problem, flush=True)
    print(f"{tried['right']} right, {tried['wrong']} wrong, {time.monotonic() - began:.0f} s")
    sys.exit(bool(tried["wrong"]))


if __name__ == "__main__":
    main()
