"""Be told when a module has been imported, whoever imports it and whenever."""

import sys
from collections.abc import Callable, Mapping
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

__all__ = ["ImportWatch"]


class ImportWatch(MetaPathFinder):
    """Call a function with a module as soon as its code has run, before the one who imports it goes on.

    A context manager: it watches while it is entered. A module that is there already counts as imported then.

    Args: told, functions by the full names of the modules.

    Thread-safety: enter and leave in one thread; the function is called in the thread that imports.
    """

    def __init__(self, told: Mapping[str, Callable[[ModuleType], None]]) -> None:
        self._told = told

    def __enter__(self) -> "ImportWatch":
        for name, tell in self._told.items():
            if name in sys.modules:
                tell(sys.modules[name])
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.meta_path.remove(self)

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find a watched module as Python does, and hang on to its loader; others are none of ours."""
        tell = self._told.get(fullname)
        if tell is None:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                break
        else:
            spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Telling(spec.loader, tell)
        return spec


class _Telling(Loader):
    """Load as another loader does, then tell."""

    def __init__(self, inner: Loader, tell: Callable[[ModuleType], None]) -> None:
        self._inner = inner
        self._tell = tell

    def __getattr__(self, name: str) -> Any:
        # Whoever asks a module's loader for its source or its files is to get them.
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module as the loader does."""
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run its code, give it its own loader back, and tell."""
        self._inner.exec_module(module)
        module.__loader__ = self._inner
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        self._tell(module)
