"""Tests that fits on a cluster write the same bytes as one process, or raise an error."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import distributed
import fsspec
import numpy as np
import nvtabular as nvt
import pandas as pd
import pytest
from merlin.io import Dataset

from merlin_popsampler import FrequencyCategorify, FrequencyOrder, PopSamplerError
from tests.support.processes import OPERATORS, ROOT
from tests.support.workflow_helpers import bytes_below, fit_folders

pytestmark = pytest.mark.filterwarnings("ignore")

JOINT, COMBO = [["item", "other"]], [["item", "user"]]
MODES = {
    "columns of every kind": (["item", "user", "price", "day", "bag"], {}),
    "joint": (JOINT, {"num_buckets": 3}),
    "combo": (COMBO, {"encode_type": "combo", "freq_threshold": 2}),
    "lists": (["bag"], {"num_buckets": 4, "max_size": 20}),
    "parts": (["item", "user"], {"split_out": {"item": 3}, "split_every": 2}),
    "cut": (["item", "user"], {"freq_threshold": {"item": 9, "user": 3}}),
    "int32": (["user"], {"dtype": "int32", "num_buckets": 2, "split_out": 2}),
}


def frame():
    rng = np.random.default_rng(17)
    item = pd.Series(rng.zipf(1.4, 300) % 40).map("item {}".format)
    bags = [list(item[row : row + row % 4]) for row in range(300)]
    return pd.DataFrame(
        {
            "item": item.where(rng.random(300) < 0.9, None),
            "other": item[::-1].to_numpy(),
            "user": rng.integers(0, 30, 300),
            "price": rng.integers(0, 9, 300) / 4,
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 9, 300), "D"),
            "bag": [bag or ["item 0"] for bag in bags],
        }
    )


def fitted(mode, data, out_path):
    """Fits a workflow; returns it, the files of the fit by name, and its output."""
    if mode == "renumbered":
        node = ["user"] >> FrequencyOrder(on_violation="remap", out_path=out_path)
    else:
        columns, options = MODES[mode]
        node = columns >> FrequencyCategorify(out_path=out_path, **options)
    workflow = nvt.Workflow(node)
    workflow.fit(data)
    made = workflow.transform(data).compute().reset_index(drop=True)
    return workflow, bytes_below(fit_folders(out_path)[-1]), made


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Writes three files, which the workers read."""
    folder = tmp_path_factory.mktemp("data")
    for part in range(3):
        frame()[part * 100 : part * 100 + 100].to_parquet(folder / f"{part}.parquet")
    return Dataset([str(folder / f"{part}.parquet") for part in range(3)], engine="parquet")


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    """Returns the result of one process, before the cluster starts."""
    folder = tmp_path_factory.mktemp("alone")
    return {mode: fitted(mode, data, f"{folder}/{mode}") for mode in (*MODES, "renumbered")}


class TestOneCallStartsAll:
    """Tests a LocalCluster of two processes."""

    @pytest.fixture(scope="class")
    def one_machine(self, alone, tmp_path_factory):
        """Starts two workers by one call."""
        preload = tmp_path_factory.mktemp("preload") / "no_tensorflow.py"
        preload.write_text(OPERATORS)
        with distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            preload=[str(preload)],
            local_directory=str(preload.parent),
        ) as cluster, distributed.Client(cluster) as client:
            yield client

    @pytest.mark.parametrize("mode", [*MODES, "renumbered"])
    def test_a_cluster_finds_what_one_process_finds(self, mode, one_machine, alone, data, out_path):
        _, files, made = fitted(mode, data, out_path)
        assert files == alone[mode][1]
        pd.testing.assert_frame_equal(made, alone[mode][2])
        assert fit_folders(out_path, complete=False) == []


class Machines:
    """Starts a scheduler and two workers as processes with a folder each."""

    def __init__(self, folder: Path):
        self.folder = folder
        address = str(folder / "address.json")
        self.of_all = ["--scheduler-file", address, "--no-dashboard"]
        of_scheduler = ["--host=127.0.0.1", "--port=0", "--idle-timeout=300"]
        self.processes = [self.start("scheduler", *self.of_all, *of_scheduler)]
        for name in ("left", "right"):
            self.start_worker(name)

    def start_worker(self, name: str) -> None:
        of_worker = [f"--name={name}", "--no-nanny", "--nthreads=1", "--death-timeout=60"]
        self.processes.append(self.start("worker", *self.of_all, *of_worker, at=name))

    def client(self) -> distributed.Client:
        client = distributed.Client(scheduler_file=str(self.folder / "address.json"), timeout=60)
        client.wait_for_workers(2, timeout=60)
        return client

    def start(self, what: str, *options: str, at: str = "scheduler") -> subprocess.Popen:
        (self.folder / at).mkdir()
        code = f"{OPERATORS}from distributed.cli.dask_{what} import main; main()"
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        with open(self.folder / f"{at}.txt", "w") as said:
            return subprocess.Popen(
                [sys.executable, "-c", code, *options],
                cwd=self.folder / at,
                env=env,
                stdout=said,
                stderr=said,
            )

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(30)


def dies_while_it_writes(marker):
    """Kills a worker while it writes its second file to a folder."""
    from merlin_popsampler.store import filesystem

    write = filesystem.write_bytes

    def dying(path, content):
        if os.path.exists(os.path.dirname(path)):
            Path(marker).touch()
            Path(f"{path}.tmp").write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, content)

    filesystem.write_bytes = dying


class TestEachIsStartedByItself:
    """Tests a scheduler and two workers, as on machines that share a file system."""

    @pytest.fixture(scope="class")
    def machines(self, alone, tmp_path_factory):
        started = Machines(tmp_path_factory.mktemp("machines"))
        try:
            with started.client():
                yield started
        finally:
            started.stop()

    def test_a_relative_place_is_that_of_the_process_that_fits(
        self, machines, alone, data, tmp_path
    ):
        """Workers have other working directories, but must write into that of this process."""
        _, files, made = fitted("parts", data, "here")
        assert files == alone["parts"][1]
        pd.testing.assert_frame_equal(made, alone["parts"][2])
        assert {path.split("/")[0] for path in bytes_below(tmp_path)} == {"here"}
        assert not [path for path in machines.folder.rglob("*") if "parquet" in path.name]

    def test_a_place_that_workers_do_not_share(self, machines, alone, data, out_path):
        """Each process has its own `memory://`. Nothing is published, and the earlier fit stays."""
        workflow, files, made = fitted("parts", data, out_path)
        operator = workflow.output_node.op
        operator.out_path = "memory://fits"
        with pytest.raises(PopSamplerError, match="memory://.*this process and all workers share"):
            workflow.fit(data)
        assert fsspec.filesystem("memory").find("/fits") == []
        assert bytes_below(fit_folders(out_path)[-1]) == files
        again = workflow.transform(data).compute().reset_index(drop=True)
        pd.testing.assert_frame_equal(again, made)

    def test_a_worker_that_is_killed_in_the_middle_of_a_fit(self, machines, alone, data, tmp_path):
        """The last test with these workers: a new worker repeats all of the work. No other worker
        runs meanwhile: distributed 2023.3.2 may wait forever if it copies from a worker that is
        killed.
        """
        marker = tmp_path / "killed"
        client = distributed.get_client()
        machines.processes.pop().kill()
        until(lambda: len(client.scheduler_info()["workers"]) == 1)
        client.run(dies_while_it_writes, str(marker))

        def replace():
            until(marker.exists)
            machines.start_worker("later")

        with ThreadPoolExecutor() as pool:
            replaced = pool.submit(replace)
            _, files, made = fitted("parts", data, str(tmp_path / "out"))
            replaced.result()
        workers = client.scheduler_info()["workers"].values()
        assert [worker["name"] for worker in workers] == ["later"]
        assert files == alone["parts"][1]
        pd.testing.assert_frame_equal(made, alone["parts"][2])


def until(true):
    """Waits until a condition holds, at most a minute."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
