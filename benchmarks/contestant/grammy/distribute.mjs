// grammY runner that hands its updates to worker threads, one for each core.

import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { distribute, run } from "@grammyjs/runner";
import { Bot } from "grammy";
import { concurrency, config, token } from "./setting.mjs";

const bot = new Bot(token, config);
const worker = fileURLToPath(new URL("./distribute_worker.mjs", import.meta.url));
bot.use(distribute(worker, { count: Number(process.env.WORKERS ?? availableParallelism()) }));
run(bot, { sink: { concurrency } });
