/**
 * Background tasks on Deno Deploy, or any host that starts a process by a request and stops it when nobody asks:
 *
 * - `POST /words` with a text initiates a task and answers at once with its id; the task runs in the same process, after
 *   the answer;
 * - `GET /words/<id>` says what became of it;
 * - a cron tick each minute takes up what is due by then: retries, tasks for later, what a process left that was stopped.
 *
 * The database is the one that Deno Deploy gives to the application; elsewhere the environment variable `TASKS` may name
 * another one.
 *
 * @module
 */

import { defineTask, InvalidArgument, Kit, TaskNotFound, tasks } from "@taskkit/taskkit";

const countWords = defineTask({
  group: "text",
  name: "count-words",
  timeout: "1m",
  async run(input: { text: string; slowlyMs?: number }, { signal }) {
    const words = input.text.split(/\s+/).filter((word) => word !== "");
    // A stand-in for work that takes its time, and stops when it is told to.
    const pauseMs = input.slowlyMs ?? 0;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, pauseMs);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
    });
    return words.length;
  },
});

const kit = Kit.open({ kv: Deno.env.get("TASKS"), handler: tasks([countWords]) });

// Deno Deploy finds a cron job when the module is loaded, so it is named before anything is waited for.
Deno.cron("work on tasks", "* * * * *", async () => {
  await (await kit).drain({ for: "50s" });
});

async function respond(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const tasks = await kit;
  if (request.method === "POST" && pathname === "/words") {
    const { id } = await tasks.initiateTask(countWords, await request.json());
    // Not awaited: the answer goes out while the task is worked on.
    tasks.drain({ for: "20s" }).catch((error) => console.error(error));
    return Response.json({ id }, { status: 202 });
  }
  const id = /^\/words\/([^/]+)$/.exec(pathname)?.[1];
  if (request.method === "GET" && id !== undefined) {
    const { state } = await tasks.getTask(id);
    const count = state === "succeeded" ? await tasks.getResult(id).get() : null;
    return Response.json({ state, count });
  }
  return new Response("not found\n", { status: 404 });
}

Deno.serve({ port: Number(Deno.env.get("PORT") ?? 8000) }, async (request) => {
  try {
    return await respond(request);
  } catch (error) {
    if (error instanceof TaskNotFound) return new Response("not found\n", { status: 404 });
    if (error instanceof InvalidArgument || error instanceof SyntaxError) {
      return new Response(`${error.message}\n`, { status: 400 });
    }
    throw error;
  }
});
