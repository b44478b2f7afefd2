"""What can go wrong with a store, in one sentence each."""

from __future__ import annotations

from proxy.base.worker import JobError


class StoreError(JobError):
    """The store cannot be opened or read; the text is one sentence for the operator."""
