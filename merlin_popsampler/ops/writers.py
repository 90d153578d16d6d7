"""Names `<time>-<host>-<process>-<number>`: who writes, so that others know what was given up."""

import os
import platform
import re
import uuid
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Optional

_NAME = re.compile(r"([0-9T.]+)-(.+)-([0-9]+)-[0-9a-f]+")
_TIME = "%Y%m%dT%H%M%S.%f"
_ABANDONED = timedelta(days=1)


def new_name() -> str:
    """A name that nobody else writes under; later ones come later in the order of names."""
    time = datetime.now(timezone.utc).strftime(_TIME)
    return f"{time}-{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def time_of(name: str) -> Optional[str]:
    """When the writer began, in the order of time; None where a name tells no writer."""
    match = _NAME.fullmatch(name)
    return match and match.group(1)


def has_ended(name: str) -> bool:
    """Whether the writer of that name will not go on: a process of this host that is no more, this
    very process, or any after a day. Names that tell no writer never end.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return False
    time, host, process = match.groups()
    if host == _host() and not _runs(int(process)):
        return True
    started = datetime.strptime(time, _TIME).replace(tzinfo=timezone.utc)
    return datetime.now(timezone.utc) - started > _ABANDONED


def _runs(process: int) -> bool:
    """Whether another process of that number runs: this one knows what it still writes."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)  # asks, and sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _host() -> str:
    """The machine, and where it has several sets of process numbers, as with containers, which."""
    host = platform.node()
    with suppress(OSError):  # only Linux tells
        host += f".{os.stat('/proc/self/ns/pid').st_ino}"
    return re.sub(r"[^A-Za-z0-9.]", "_", host) or "host"
