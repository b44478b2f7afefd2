"""A thread that steps back does so alone, and never fails for it."""

import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from proxy.base.priority import let_others_go_first

Value = TypeVar("Value")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")


def in_a_thread(function: Callable[[], Value]) -> Value:
    found: list[Value] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def mine() -> tuple[int, int]:
    thread = threading.get_native_id()
    return os.getpriority(os.PRIO_PROCESS, thread), os.sched_getscheduler(thread)


def test_only_the_thread_itself_steps_back() -> None:
    before = mine()

    def step_back() -> tuple[int, int]:
        let_others_go_first()
        return mine()

    nice, policy = in_a_thread(step_back)
    assert nice == min(before[0] + 10, 19)
    assert policy == os.SCHED_BATCH
    assert mine() == before


def test_a_system_that_forbids_it_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", forbidden)
    monkeypatch.setattr(os, "sched_setscheduler", forbidden)

    def step_back() -> bool:
        let_others_go_first()
        return True

    assert in_a_thread(step_back)
