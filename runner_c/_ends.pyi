"""Ends on their way to the store, attempts that wait, and marks of what runs: what a sink needs if it has a store."""

from runner_c._intake import Intake

class Ends(Intake):
    """What of a sink serves the store; `Sink` completes it."""
