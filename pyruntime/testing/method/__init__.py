"""Carry out the methods of the Bot API on the fake server's world, one module per family."""

from pyruntime.testing.method import about, editing, moderation, query, sending, webhook
from pyruntime.testing.method.registry import METHODS, Arguments, Refused, find_method

__all__ = [
    "METHODS",
    "Arguments",
    "Refused",
    "about",
    "editing",
    "find_method",
    "moderation",
    "query",
    "sending",
    "webhook",
]
