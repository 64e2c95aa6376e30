"""Messages on a pipe: eight bytes of length, then the message."""

from typing import IO

LENGTH_BYTES = 8


def write_message(pipe: IO[bytes], content: bytes) -> None:
    """Send a message whole."""
    pipe.write(len(content).to_bytes(LENGTH_BYTES, "little"))
    pipe.write(content)
    pipe.flush()


def read_message_bytes(pipe: IO[bytes]) -> bytes | None:
    """The next message; None where the other side has ended, in the middle of a message or between two."""
    head = pipe.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "little")
    content = pipe.read(length)
    return content if len(content) == length else None
