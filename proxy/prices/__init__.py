"""Prices: the policy file first, then the bundled vendor data."""
