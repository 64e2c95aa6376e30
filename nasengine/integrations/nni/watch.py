"""Ends a process that nobody waits for any more, or that takes too long."""

import os
import sys
import threading
import time
from collections.abc import Callable

SECONDS_BETWEEN_LOOKS = 0.5


def end_with_parent(last_words: Callable[[], None] | None = None, max_seconds: float | None = None) -> None:
    """From now on, end this process when its parent has ended, however that ended.

    Args:
        last_words: called where ``max_seconds`` are over, before the process ends with code 1.
        max_seconds: that the process may take; None for no limit.
    """
    parent, begin = os.getppid(), time.monotonic()

    def look() -> None:
        while os.getppid() == parent:
            if max_seconds is not None and time.monotonic() - begin > max_seconds:
                if last_words is not None:
                    last_words()
                sys.stderr.write(f"ended after {max_seconds:g} s\n")
                sys.stderr.flush()
                break
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)  # from a thread, whatever the others are doing

    threading.Thread(target=look, daemon=True).start()
