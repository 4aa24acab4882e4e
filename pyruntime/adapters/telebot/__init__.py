"""Run bots of pyTelegramBotAPI ("telebot") on the engine: `adapt` for objects, `PollingTakeover` for whole scripts."""

from pyruntime.adapters.telebot.bot import TelebotAdapter, adapt
from pyruntime.adapters.telebot.takeover import PollingCall, PollingTakeover

__all__ = ["PollingCall", "PollingTakeover", "TelebotAdapter", "adapt"]
