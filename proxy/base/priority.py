"""Which work goes first when there are not enough cores for all of it."""

from __future__ import annotations

import os
import sys
import threading

_NICE = 10


def let_others_go_first() -> None:
    """Give this thread a lower priority, for good: what it does can wait a little, and requests cannot.

    Only Linux knows priorities of single threads (setpriority(2), "C library/kernel differences"); elsewhere
    nothing changes.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
