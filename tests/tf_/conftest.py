"""Processes that several tests share, since each has to import TensorFlow anew."""

from typing import Iterator

import pytest

from tests.support.processes import Interpreter

TWO_CPUS = """
import tensorflow as tf
import merlin_popsampler
registered = sorted(tf.keras.utils.get_custom_objects())
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
# One strategy: TensorFlow 2.21 aborts a second one, whose collective operations have the keys of
# the first, with other shapes.
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
"""


@pytest.fixture(scope="session")
def replicas() -> Iterator[Interpreter]:
    """Runs programs on two virtual CPUs; they find `tf` and `strategy`, of one replica on each.

    In a process of their own, since TensorFlow counts devices once. It has loaded no model, so it
    also loads those that were saved here; `registered` names the layers that Keras knew at first.
    """
    interpreter = Interpreter(TWO_CPUS)
    yield interpreter
    interpreter.close()
