"""Tells when NumPy computes in PyTorch's place: for few numbers, in the memory of the host.

For few numbers, the time is that of calls of operations, and a call takes NumPy less time.
"""

import torch

SHORT = 1 << 15
"""Most numbers for NumPy; for more, PyTorch uses several threads."""


def is_readable(tensor: torch.Tensor) -> bool:
    """Tests whether a tensor has its numbers now, on the CPU, and only its caller sees the reading.

    Compilers, exports, traces, transforms such as `vmap`, and modes that observe or replace
    operations must see PyTorch's operations. Some of them show a plain tensor meanwhile.
    """
    return (
        not torch.compiler.is_compiling()  # first, since compilers do not read what follows
        and type(tensor) is torch.Tensor
        and tensor.device.type == "cpu"
        and not torch.jit.is_tracing()
        and not torch._C._len_torch_dispatch_stack()  # noqa: SLF001 - PyTorch has no public test
        and torch._C._functorch.peek_interpreter_stack() is None  # noqa: SLF001 - as above
    )
