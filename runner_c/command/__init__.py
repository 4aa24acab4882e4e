"""The command line: `python -m runner_c TARGET`.

The one place of the engine's package that may import `pyruntime`: engine and bot layer are put together here. `cli`
is the way through it, the other files are its steps.
"""
