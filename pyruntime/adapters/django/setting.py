"""The setting RUNNER_C: which bot, and how it runs.

| key | default | meaning |
|---|---|---|
| TARGET | needed | the bot: ``package.module`` with a name ``bot``, or ``package.module:name`` |
| SECRET_TOKEN | None | the `secret_token` of setWebhook, for the view |
| OPTIONS | {} | options of `pyruntime.webhook_app` and `runner_c.run`, for the view |
| ARGUMENTS | [] | options of the command line, for `manage.py runbot` |
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import Error
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

__all__ = ["check", "import_bot", "setting"]

_KINDS: dict[str, type | tuple[type, ...]] = {
    "TARGET": str,
    "SECRET_TOKEN": (str, type(None)),
    "OPTIONS": dict,
    "ARGUMENTS": (list, tuple),
}


def setting() -> dict[str, Any]:
    """Return the setting with its defaults.

    Raises:
        ImproperlyConfigured: it is missing, or a value cannot be one.
    """
    given = getattr(settings, "RUNNER_C", None)
    if not isinstance(given, dict) or not given.get("TARGET"):
        raise ImproperlyConfigured('set RUNNER_C = {"TARGET": "package.module:bot"} in the settings')
    for name, value in given.items():
        if name not in _KINDS:
            raise ImproperlyConfigured(f"RUNNER_C has no key {name}; there are {', '.join(_KINDS)}")
        if not isinstance(value, _KINDS[name]):
            raise ImproperlyConfigured(f"RUNNER_C[{name!r}] cannot be {type(value).__name__}")
    return {"SECRET_TOKEN": None, "OPTIONS": {}, "ARGUMENTS": [], **given}


def import_bot() -> Any:
    """Return the bot that TARGET names.

    Raises:
        ImproperlyConfigured: there is none, or it cannot be imported.
    """
    target = setting()["TARGET"]
    module, _, name = target.partition(":")
    try:
        return import_string(f"{module}.{name or 'bot'}")
    except ImportError as error:
        raise ImproperlyConfigured(f'RUNNER_C["TARGET"] = {target!r} cannot be imported: {error}') from error


def check(**_: Any) -> list[Error]:
    """Say what is wrong with the setting, for ``manage.py check`` and at each start of the site."""
    try:
        setting()
        import_bot()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="runner_c.E001")]
    return []
