// grammY's built-in polling: one update after the other.

import { Bot } from "grammy";
import { config, echo, token } from "./setting.mjs";

const bot = new Bot(token, config);
bot.on("message:text", echo);
bot.start();
