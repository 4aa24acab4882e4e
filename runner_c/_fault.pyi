"""Fault points: places at which a test can have the process killed."""

def is_compiled() -> bool:
    """Tell whether this build has fault points."""

def fault_point(name: str) -> int:
    """Kill the process here, if this build has fault points and ``RUNNER_C_FAULT`` says so; else do nothing."""
