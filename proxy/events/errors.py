"""What can go wrong with a store, in one sentence each."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot be opened or read; the text is one sentence for the operator."""
