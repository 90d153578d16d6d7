"""Makes text safe to print on a terminal, in a pipe or in a picture."""

import os
from typing import Any, Optional, TextIO


def printable(text: Any) -> str:
    r"""Escapes the characters of a text that are invisible or control a terminal.

    Keys and names of columns come from data. Control characters, escape sequences, marks of writing
    direction and lone surrogates are escaped as in `repr`. Letters of every script stay.

    Examples:
      >>> print(printable("tea" + chr(27) + "[2J"))
      tea\x1b[2J
    """
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in str(text)
    )


def say(text: str, stream: Optional[TextIO]) -> None:
    """Writes lines to a stream, each of them `printable`.

    Characters that the stream's encoding does not have are escaped. A closed pipe, as after `head`,
    is not an error, since the exit code shows the result of a command.

    Args:
      text: one or more lines.
      stream: the stream; None if the program was started without it.

    Raises:
      OSError: the stream cannot be written, for example on a full disk.
    """
    lines = "\n".join(map(printable, text.split("\n"))) + "\n"
    encoding = getattr(stream, "encoding", None) or "utf-8"
    _write(lines.encode(encoding, "backslashreplace").decode(encoding), stream)


def finish(stream: Optional[TextIO]) -> None:
    """Flushes a stream that other code has written to, with the error handling of `say`."""
    _write("", stream)


def _write(text: str, stream: Optional[TextIO]) -> None:
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # Python would try again at exit, complain, and change the exit code.
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            raise
