// grammY runner: updates concurrently, in no order.

import { run } from "@grammyjs/runner";
import { Bot } from "grammy";
import { concurrency, config, echo, token } from "./setting.mjs";

const bot = new Bot(token, config);
bot.on("message:text", echo);
run(bot, { sink: { concurrency } });
