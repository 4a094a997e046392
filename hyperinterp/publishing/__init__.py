"""Twins and reports on the Hub: what goes there, with a card that says what it is."""

from hyperinterp.publishing.pushing import push_to_hub

__all__ = ["push_to_hub"]
