/**
 * `worker`: works on tasks until it is stopped, and tells what it does.
 *
 * @module
 */

import { hostname } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { TaskkitConfig } from "../../config.ts";
import { shown } from "../../core/duration.ts";
import { GRACE_MS_DEFAULT } from "../../core/limits.ts";
import type { Log, LogLevel } from "../../core/log.ts";
import type { Kit } from "../../kit.ts";
import type { GroupOptions, KitOptions, RunningWorker, WorkerOptions } from "../../options.ts";
import type { Arguments } from "../arguments.ts";
import { CliError, EXIT } from "../cli_error.ts";
import type { Call, Command } from "../command.ts";
import { formatMs, table } from "../format.ts";
import { logJson, logLine } from "../log_lines.ts";
import { blaming, CONFIG_NAME, nearPath, openKit, readSetup, type Setup } from "../open_kit.ts";
import { styled } from "../output.ts";
import { VERSION } from "../version.ts";

/**
 * How long the second Ctrl-C waits: a handler has a second to notice that it is aborted, what it leaves is given back if the
 * database answers, and its process ends.
 */
const HURRY_MS = 3_000;

const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** The command. */
export const workerCommand: Command = {
  name: "worker",
  summary: "works on tasks until it is stopped",
  usage: "",
  positionals: [0, 0],
  about: [
    "Takes the oldest due tasks of its groups and runs them, until Ctrl-C, SIGTERM, or " +
    '"taskkit shutdown". Then it takes no more, and what runs may finish within the grace; what has not is ' +
    "given back without using an attempt. A second Ctrl-C cuts the grace short, and ends the worker after 3 s, " +
    "whatever the database does; a third one ends it at once.",
    "The worker has a process of its own, whose supervisor starts it anew when a handler makes it crash or leaves " +
    "threads behind that would not end.",
    "Each task that ends is one line. With --json each entry is one line of JSON, with the fields time, level, " +
    "event, message, and where they fit task, group, name, attempt, ms, fields.",
  ],
  flags: {
    group: {
      value: "<name[=n]>",
      isRepeated: true,
      help:
        "a group to work on, n of its tasks at once; with it, only on those named, which keep what the " +
        "configuration says of them",
    },
    grace: { value: "<duration>", help: "how long a stop waits for what runs (default: 30s)" },
    lease: {
      value: "<duration>",
      help: "without a heartbeat for so long it is held to be dead (default: 15s)",
    },
    "poll-interval": {
      value: "<duration>",
      help: "how often to look without being woken (default: 5s)",
    },
    threads: { value: "<n>", help: "threads for all groups (default: one a processor)" },
    "no-maintenance": {
      help: "neither rescues the tasks of dead workers, nor sweeps, nor fires schedules",
    },
    "no-supervisor": {
      help: "runs the worker in this very process, for somebody else to start anew when it ends",
    },
    "log-level": { value: "<level>", help: "debug, info (default), warn, or error" },
  },
  examples: [
    "worker",
    "worker --group images=8 --group mail --grace 1m",
    "worker --kv tasks.db --handler handler.ts --group mail=4 --json",
  ],
  run: runWorker,
};

async function runWorker(call: Call): Promise<number> {
  const { terminal } = call;
  let exitCode: number = EXIT.ok;
  let worker: RunningWorker | null = null;
  let isStopping = false;
  const stop = () => {
    isStopping = true;
    void worker?.stop();
  };
  const late = Promise.withResolvers<void>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const offInterrupt = terminal.onInterrupt((code, count) => {
    if (count > 2) return terminal.exit(code);
    if (count === 2) {
      exitCode = code;
      // What is not started holds nothing that could be given back.
      if (worker === null) return late.resolve();
      void worker.stop({ grace: 0 });
      timer = setTimeout(late.resolve, HURRY_MS);
      return;
    }
    if (terminal.err.isTerminal) terminal.err.line("Stopping. Ctrl-C again stops at once");
    stop();
  });
  // Nobody reads what it tells: as good as a Ctrl-C in a pipeline, which reaches the reader first.
  terminal.out.onClosed(stop);
  const onStarted = (started: RunningWorker) => {
    worker = started;
    terminal.hasStarted();
    if (isStopping) stop();
  };
  try {
    const working = work(call, onStarted);
    const reason = await Promise.race([working, late.promise]);
    // What still waits for the database ends with the process.
    if (reason === undefined && worker !== null) {
      terminal.err.line(
        "Ended without waiting longer: other workers take over what was not given back, within half a minute",
      );
    }
    return reason === "leaked" ? EXIT.leaked : exitCode;
  } finally {
    clearTimeout(timer);
    offInterrupt();
  }
}

/** Works until the worker is stopped, and resolves to why. */
async function work(
  call: Call,
  onStarted: (worker: RunningWorker) => void,
): Promise<Awaited<RunningWorker["finished"]>> {
  const setup = await readSetup(call);
  const options = workerOptions(call.args, setup);
  if (setup.kitOptions.handler === undefined) throw noHandler();
  await using kit = await openKit(setup);
  if (!call.isJson) tellHead(call, setup, options);
  const worker = await startWorker(kit, call, setup, options);
  onStarted(worker);
  return await worker.finished;
}

async function startWorker(
  kit: Kit,
  call: Call,
  setup: Setup,
  options: WorkerOptions,
): Promise<RunningWorker> {
  try {
    return await blaming(setup, () => kit.startWorker({ ...options, log: logTo(call) }));
  } catch (error) {
    if (!(error instanceof CliError) || options.groups !== undefined) throw error;
    const hints = [...error.hints, "or name a group by a flag: --group mail=4"];
    throw new CliError(error.message, { exitCode: error.exitCode, hints });
  }
}

function logTo({ terminal: { out }, isJson }: Call): Log {
  if (isJson) return (entry) => out.jsonEntry(logJson(entry));
  const time = out.isTerminal ? "day" : "instant";
  return (entry) => out.line(...logLine(entry, time));
}

/** The worker's options: those of the configuration, with the flags over them. */
export function workerOptions(args: Arguments, { worker }: Setup): WorkerOptions {
  const { groups, grace, lease, pollInterval, threads, logLevel, ...rest } = worker;
  const level = args.text("log-level") ?? logLevel ?? "info";
  if (!isLogLevel(level)) {
    throw new CliError(
      `Cannot read --log-level: ${shown(level)} is none; there are ${LOG_LEVELS.join(", ")}`,
    );
  }
  const all = {
    groups: chosenGroups(args.texts("group"), groups),
    grace: args.text("grace") ?? grace,
    lease: args.text("lease") ?? lease,
    pollInterval: args.text("poll-interval") ?? pollInterval,
    threads: args.has("threads") ? args.integer("threads", 0) : threads,
  };
  const given = Object.entries(all).filter(([, value]) => value !== undefined);
  return {
    ...rest,
    ...Object.fromEntries(given),
    ...(args.has("no-maintenance") ? { maintenance: false } : {}),
    logLevel: level,
  };
}

function isLogLevel(level: unknown): level is LogLevel {
  return LOG_LEVELS.some((known) => known === level);
}

function chosenGroups(
  flags: readonly string[],
  configured: TaskkitConfig["groups"] = {},
): TaskkitConfig["groups"] {
  if (flags.length === 0) return Object.keys(configured).length === 0 ? undefined : configured;
  return Object.fromEntries(flags.map((flag): [string, number | GroupOptions] => {
    const at = flag.lastIndexOf("=");
    const name = at === -1 ? flag : flag.slice(0, at);
    const group = Object.hasOwn(configured, name) ? configured[name] ?? {} : {};
    if (at === -1) return [name, group];
    const count = flag.slice(at + 1);
    if (!/^\d{1,9}$/.test(count)) {
      throw new CliError(`Cannot read --group: ${shown(count)} is no whole number`, {
        hints: ["write --group images=8, or --group images for the number that is configured"],
      });
    }
    const concurrency = Number(count);
    return [name, typeof group === "number" ? concurrency : { ...group, concurrency }];
  }));
}

/** What this worker is; which groups it works on, it says itself when it has started. */
function tellHead({ terminal: { cwd, out } }: Call, setup: Setup, options: WorkerOptions): void {
  const { grace = GRACE_MS_DEFAULT } = options;
  const { configPath, kitOptions: { handler } } = setup;
  const config = configPath === null ? "none; all is said by flags" : nearPath(configPath, cwd);
  const rows = [
    ["configuration", config],
    ["database", setup.database],
    ["handler", describeHandler(handler, cwd)],
    [
      "stop",
      `Ctrl-C; what runs may finish within ${typeof grace === "number" ? formatMs(grace) : grace}`,
    ],
  ];
  out.line(
    styled("bold", `Taskkit ${VERSION} worker`),
    `, process ${process.pid} on ${hostname()}`,
  );
  for (
    const line of table(rows.map(([name = "", value = ""]) => [styled("dim", `  ${name}`), value]))
  ) {
    out.line(...line);
  }
}

function describeHandler(handler: KitOptions["handler"], cwd: string): string {
  if (!(handler instanceof URL)) return "made by the configuration";
  return handler.protocol === "file:" ? nearPath(fileURLToPath(handler), cwd) : handler.href;
}

function noHandler(): CliError {
  return new CliError("Cannot start a worker: nothing says what runs its tasks", {
    hints: [
      `name the module of the handler in ${CONFIG_NAME}: handler: "./handler.ts"`,
      "or by a flag: --handler handler.ts",
    ],
  });
}
