"""Print what was started, in six lines at most."""

import re

from runner_c.command.build import describe_python
from runner_c.command.local_server import is_real
from runner_c.command.replay import speed_words
from runner_c.command.settings import Settings
from runner_c.command.webhook import LISTEN_DEFAULT
from runner_c.version import __version__

__all__ = ["banner", "bot_name"]


def bot_name(bot: object) -> str | None:
    """Return `@username` of a bot that knows who it is, else None.

    It is read from the bot's repr, such as `<Bot @shop_bot>`: to ask for `bot.me` may call the Bot API, and blocks.
    """
    found = re.search(r"@\w+", repr(bot)) if hasattr(type(bot), "me") else None
    return found.group() if found else None


def banner(settings: Settings, target: str, bot: object, playground: str | None) -> str:
    """Return the banner: version and Python, bot and target, the settings that matter, playground, how to stop."""
    name = bot_name(bot)
    store = settings.store_url
    note = "" if settings.store is not None or store is None else " (--store none keeps nothing)"
    ack = settings.ack or ("fetch" if store is None else "journal")
    lines = [
        f"runner_c {__version__} on {describe_python()}",
        f"bot {name}, target {target}" if name else f"target {target}",
        f"concurrency {settings.concurrency}, ack {ack}, store {store or 'none'}{note}",
    ]
    if settings.webhook:
        lines.append(f"webhook {settings.webhook}, served on http://{settings.listen or LISTEN_DEFAULT}")
    if settings.replay:
        where = "the server of --api-root" if is_real(settings) else "a fake server in this process"
        where = "the playground" if playground else where
        lines.append(f"replaying {settings.replay}, {speed_words(settings.replay_speed)}; calls go to {where}")
    if settings.record:
        lines.append(f"recording to {settings.record}")
    if playground:
        doing = "watch; it ends with the replay" if settings.replay else "talk to the bot"
        lines.append(f"playground {playground} - open it in a browser and {doing}")
    lines.append(f"stop with Ctrl-C or TERM: waits up to {settings.grace:g} s for handlers; once more stops now")
    return "\n".join(lines)
