"""A worker as a process of its own: ``python -m nasengine.distribution.worker_process``, requests on its input."""

import os
import signal
import sys
from functools import partial

from nasengine.distribution.pipes import read_message_bytes, write_message


def main() -> None:
    """Perform requests until there are no more. What other code prints goes to stderr, not between the reports."""
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run that asked decides when this ends
    from nasengine.distribution.performing import perform

    try:
        while (request := read_message_bytes(sys.stdin.buffer)) is not None:
            perform(request, partial(write_message, reports))
    except BrokenPipeError:  # nobody is there any more
        os._exit(1)


if __name__ == "__main__":
    main()
