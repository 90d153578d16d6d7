"""Runs docs/recipes.md and the index of docs/serving.md with the libraries, and checks the results.

Makes an environment of Python 3.11 for each library, one after the other, and deletes it:
`make peers`, or `make peers ARGS=RecBole`. HSTU is in no registry: it is skipped unless
`HSTU=/path/to/clone` names a clone of https://github.com/facebookresearch/generative-recommenders.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS = {
    "TensorFlow Recommenders": ["tensorflow-recommenders==0.7.7", "tensorflow==2.12.1"],
    "Keras Recommenders": ["keras-rs==0.4.0", "keras==3.15.1", "tensorflow==2.20.0"],
    # Versions with which the recipe was tried.
    "RecBole": ["recbole==1.2.1", "torch==2.15.0", "numpy<2", "pandas<3", "setuptools<81"],
    "RecTools": ["rectools[torch]==0.19.0", "torch==2.15.0"],
    "RePlay": ["replay-rec[torch]==0.22.0", "torch==2.15.0"],
    "Transformers4Rec": [
        *("transformers4rec[nvtabular]==23.12.0", "torch==2.15.0"),
        *("--constraint", str(ROOT / "constraints" / "torch.txt")),
    ],
    "HSTU": ["torch==2.15.0"],
    "Faiss": ["faiss-cpu==1.15.1"],
}
"""Requirements of each library's section."""


def result_of(peer: str, uv: str, python: str) -> str:
    """Installs a peer and the package, and checks the recipe there."""
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        own = f"{folder}/venv/bin/python"
        needed = [*PEERS[peer], "pytest", str(ROOT)]
        env = {**os.environ, "PYTHONPATH": folder}  # the root of HSTU's code
        if peer == "HSTU":
            extract(os.environ["HSTU"], folder)
        steps = [
            [uv, "venv", "--quiet", "--python", python, f"{folder}/venv"],
            [uv, "pip", "install", "--quiet", "--python", own, *needed],
            [own, "-W", "ignore", str(ROOT / "tools" / "peers_check.py"), peer],
        ]
        for step in steps:
            done = subprocess.run(  # noqa: S603 - ours
                step, cwd=folder, env=env, capture_output=True, text=True, check=False
            )
            if done.returncode:
                return (done.stdout + done.stderr).strip()[-2000:]
    return ""


def extract(clone: str, folder: str) -> None:
    """Writes the research code of a clone, bare or not, to a folder."""
    command = ["git", "-C", clone, "archive", "HEAD", "generative_recommenders/research"]
    archive = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603
    subprocess.run(["tar", "-x", "-C", folder], check=True, input=archive.stdout)  # noqa: S603, S607


def main() -> int:
    """Prints a line for each library; returns 1 if a recipe fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peers", nargs="*", help=f"some of {', '.join(PEERS)}; all by default")
    parser.add_argument("--uv", default="uv", help="the uv to install with")
    options = parser.parse_args()
    failed = False
    for peer in options.peers or PEERS:
        if peer == "HSTU" and "HSTU" not in os.environ:
            print("HSTU: SKIPPED. Name a clone: HSTU=/path/to/generative-recommenders make peers")
            continue
        began = time.monotonic()
        said = result_of(peer, options.uv, sys.executable)
        failed |= bool(said)
        print(f"{peer}: {said or 'as computed by hand'} ({time.monotonic() - began:.0f} s)")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
