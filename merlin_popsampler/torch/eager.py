"""Decides when NumPy computes instead of PyTorch: for few numbers on the CPU, in eager mode.

For few numbers, the overhead of each operation determines the time, and NumPy's is smaller.
"""

import torch

SHORT = 1 << 15
"""Largest number of values for which NumPy is used; above, PyTorch's threads are faster."""


def is_readable(tensor: torch.Tensor) -> bool:
    """Tests whether code may read the values of a tensor on the CPU without PyTorch's operations.

    See `is_eager`.
    """
    return is_eager(tensor) and tensor.device.type == "cpu"


def is_eager(tensor: torch.Tensor) -> bool:
    """Tests whether code may use the values of a tensor without PyTorch's operations.

    It may not under compilers, exports, traces, transforms such as `vmap`, and modes that observe
    or replace operations, since these must see PyTorch's operations. Some of these pass a plain
    tensor, so its type does not show them.
    """
    return (
        not torch.compiler.is_compiling()  # first, since compilers do not read what follows
        and type(tensor) is torch.Tensor
        and not torch.jit.is_tracing()
        and not torch._C._len_torch_dispatch_stack()  # noqa: SLF001 - PyTorch has no public test
        and torch._C._functorch.peek_interpreter_stack() is None  # noqa: SLF001 - as above
    )
