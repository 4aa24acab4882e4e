"""Adapters: bots of other frameworks as something that `runner_c.run` accepts.

Each is found by its entry point in the group ``runner_c.adapters`` and looks at an object by what it is made of, so
that importing this package imports no framework.
"""
