"""Which work goes first when there are not enough cores for all of it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

_NICE = 10


def let_others_go_first() -> None:
    """Give this thread a lower priority, for good: what it does can wait a little, and requests cannot.

    As a batch thread (sched(7), SCHED_BATCH) it also does not take the core from another thread when it wakes.
    Only Linux knows priorities of single threads (setpriority(2), "C library/kernel differences"); elsewhere
    nothing changes, and neither where the system forbids it (some containers): it is a help, not a need.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICE)
            os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))
