/**
 * Runs the checks and the tests of the project, part after part, and closes with what was counted.
 *
 * `deno run -A tests/tools/run.ts [check] [test] [oracle]` exits with 1 when anything failed, and with 130 on Ctrl-C.
 *
 * @module
 */

import { delimiter, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { findBun, type Found, installPackages } from "./bun.ts";
import { type Counts, NONE, plainLine, readCounts, type Runner, sum } from "./counts.ts";
import { namesWithoutExample } from "./doc_coverage.ts";
import { examplesIn, layOut } from "./doc_examples.ts";
import { endAll, run } from "./process.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BUN_FOLDER = `${ROOT}node_modules/.cache/taskkit-bun`;
const MINUTE_MS = 60_000;
const DENO = Deno.execPath();
const DENO_TEST = ["test", "-A", "--sanitize-ops", "--sanitize-resources"];
/** Bun would end a test after 5 s otherwise; Deno has no such bound. */
const BUN_TEST = ["test", "--timeout", "120000"];

/** What came of a part: its counts, and why it failed where the counts do not tell. */
interface Outcome extends Counts {
  readonly reason?: string;
}

/** One line of the summary. */
interface Part {
  readonly name: string;
  run(env: Record<string, string>): Promise<Outcome>;
}

function failure(reason: string): Outcome {
  return { ...NONE, failed: 1, reason };
}

/** A part that holds, or does not. */
function check(name: string, ...args: string[]): Part {
  return {
    name,
    async run(env) {
      const { ok, reason } = await run(DENO, args, { cwd: ROOT, env, timeoutMs: 10 * MINUTE_MS });
      return ok ? { ...NONE, passed: 1 } : failure(reason);
    },
  };
}

/** A part that counts. To end badly without a failed test is a failure too, and so is to run no test. */
async function countTests(
  runner: Runner,
  program: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<Outcome> {
  const { ok, output, reason } = await run(program, args, {
    cwd: ROOT,
    env,
    timeoutMs: 20 * MINUTE_MS,
  });
  const counts = readCounts(runner, output);
  if (counts === null) return failure(ok ? "it did not say what it ran" : reason);
  if (!ok && counts.failed === 0) return { ...counts, failed: 1, reason };
  return counts.passed + counts.failed === 0 ? failure("no test ran") : counts;
}

/** A part in Bun; where there is no Bun to be had, that is its failure. */
function inBun(bun: Found, name: string, work: (path: string) => Part["run"]): Part {
  return {
    name: `${name}, Bun`,
    run: "path" in bun ? work(bun.path) : () => Promise.resolve(failure(bun.reason)),
  };
}

async function filesIn(folder: string, suffix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(ROOT + folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await filesIn(path, suffix));
    else if (name.endsWith(suffix)) found.push(path);
  }
  return found.sort();
}

/** Runs the examples of the docs as Bun's tests; Deno finds them by itself. */
async function runDocsInBun(bun: string, env: Record<string, string>): Promise<Outcome> {
  const paths = ["README.md", "mod.ts", ...await filesIn("src", ".ts")];
  const texts = await Promise.all(paths.map((path) => Deno.readTextFile(ROOT + path)));
  const examples = paths.flatMap((path, index) => examplesIn(path, texts[index] ?? ""));
  // Below the root, so that the names of the project resolve; one folder a run, so that two runs do not meet.
  const folder = `.examples/${Deno.pid}`;
  try {
    const path = await layOut(examples, ROOT + folder);
    return await countTests("bun", bun, [...BUN_TEST, path], env);
  } finally {
    await Deno.remove(ROOT + folder, { recursive: true });
  }
}

/**
 * Runs every file of examples/ and wants it to end well by itself. Each runs in a folder of its own, where it finds a
 * few files to work on. Files in folders below examples/, and configurations, belong to an example.
 */
async function runExamples(
  program: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<Outcome> {
  let counts = NONE;
  for await (const { name, isFile } of Deno.readDir(`${ROOT}examples`)) {
    if (!isFile || !name.endsWith(".ts") || name.endsWith(".config.ts")) continue;
    const folder = await Deno.makeTempDir({ prefix: "taskkit-example-" });
    try {
      for (const file of ["a.txt", "copy_of_a.txt"]) {
        await Deno.writeTextFile(`${folder}/${file}`, "the same\n");
      }
      await Deno.writeTextFile(`${folder}/b.txt`, "something else\n");
      const { ok, output, reason } = await run(program, [...args, `${ROOT}examples/${name}`], {
        cwd: folder,
        env,
        stream: false,
        timeoutMs: 2 * MINUTE_MS,
      });
      console.log(ok ? `${name} ... ok` : `${output}\n${name} ... FAILED: it ${reason}`);
      counts = sum([counts, { ...NONE, ...(ok ? { passed: 1 } : { failed: 1 }) }]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }
  return counts.passed + counts.failed === 0 ? failure("examples/ holds no example") : counts;
}

/** Whether every public function, class and constant shows how it is used. */
async function checkExamplesGiven(
  entryPoints: readonly string[],
  env: Record<string, string>,
): Promise<Outcome> {
  const args = ["doc", "--json", ...entryPoints];
  const { ok, output, reason } = await run(DENO, args, {
    cwd: ROOT,
    env,
    stream: false,
    timeoutMs: MINUTE_MS,
  });
  if (!ok) return failure(`deno doc ${reason}`);
  const names = namesWithoutExample(output.slice(output.indexOf("{")));
  for (const name of names) console.log(`${name} has no @example`);
  return names.length === 0
    ? { ...NONE, passed: 1 }
    : failure(`${names.length} symbols have no @example`);
}

function checks(entryPoints: readonly string[]): Part[] {
  return [
    check("format", "fmt", "--check"),
    check("lint rules", "lint"),
    check("types", "check", "--frozen"),
    check("public docs", "doc", "--lint", ...entryPoints),
    { name: "an example for each public name", run: (env) => checkExamplesGiven(entryPoints, env) },
    check("could be published", "publish", "--dry-run", "--allow-dirty"),
  ];
}

function tests(bun: Found): Part[] {
  return [
    {
      name: "tests, Deno",
      run: (env) =>
        countTests(
          "deno",
          DENO,
          [...DENO_TEST, "--preload", "tests/tools/sanitize.ts", "tests"],
          env,
        ),
    },
    inBun(bun, "tests", (path) => (env) => countTests("bun", path, [...BUN_TEST, "./tests"], env)),
    {
      name: "examples in the docs, Deno",
      run: (env) =>
        countTests("deno", DENO, [...DENO_TEST, "--doc", "README.md", "mod.ts", "src"], env),
    },
    inBun(bun, "examples in the docs", (path) => (env) => runDocsInBun(path, env)),
    { name: "examples/, Deno", run: (env) => runExamples(DENO, ["run", "-A"], env) },
    inBun(bun, "examples/", (path) => (env) => runExamples(path, [], env)),
  ];
}

/** The points of schedules against an enumeration, for all years and zones: some minutes, too long for every run. */
function oracles(bun: Found): Part[] {
  const files = ["oracle_test.ts", "oracle_random_test.ts"].map((name) => `tests/schedule/${name}`);
  const full = (env: Record<string, string>) => ({ ...env, TASKKIT_ORACLE: "full" });
  return [
    {
      name: "oracle, Deno",
      run: (env) => countTests("deno", DENO, [...DENO_TEST, ...files], full(env)),
    },
    inBun(
      bun,
      "oracle",
      (path) => (env) =>
        countTests("bun", path, [...BUN_TEST, ...files.map((file) => `./${file}`)], full(env)),
    ),
  ];
}

/** Bun with the packages that the project needs there, or why not. */
async function readyBun(): Promise<Found> {
  const bun = await findBun(BUN_FOLDER);
  if (!("path" in bun)) return bun;
  const reason = await installPackages(bun.path, ROOT);
  return reason === null ? bun : { reason };
}

/** The environment of the parts: `deno` and `bun` are on the PATH, whatever way they came here. */
function environment(bun: Found): Record<string, string> {
  const path = Deno.env.get("PATH") ?? "";
  const folders = [
    dirname(DENO),
    ...("path" in bun && bun.path !== "bun" ? [dirname(bun.path)] : []),
  ];
  const isTerminal = Deno.stdout.isTerminal() && !Deno.noColor;
  return {
    PATH: [...folders, path].join(delimiter),
    ...(isTerminal ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" }),
  };
}

async function main(groups: readonly string[]): Promise<number> {
  const unknown = groups.filter((group) => !["check", "test", "oracle"].includes(group));
  if (groups.length === 0 || unknown.length > 0) {
    console.error("Usage: deno run -A tests/tools/run.ts [check] [test] [oracle]");
    return 2;
  }
  const { exports }: { exports: Record<string, string> } = JSON.parse(
    await Deno.readTextFile(`${ROOT}deno.json`),
  );
  const needsBun = groups.some((group) => group !== "check");
  const bun = needsBun ? await readyBun() : { reason: "not asked for" };
  const parts = groups.flatMap((group) => {
    if (group === "check") return checks(Object.values(exports));
    return group === "test" ? tests(bun) : oracles(bun);
  });
  const env = environment(bun);
  const lines: string[] = [];
  const outcomes: Outcome[] = [];
  for (const { name, run } of parts) {
    console.log(`\n── ${name} ──`);
    const startedMs = performance.now();
    const outcome = await run(env).catch((error) => failure(String(error)));
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    const { failed, reason } = outcome;
    outcomes.push(outcome);
    const verdict = failed === 0 ? "ok    " : "FAILED";
    lines.push(
      `${verdict}  ${name.padEnd(34)}${plainLine(outcome)} (${seconds} s)${
        reason ? `: ${reason}` : ""
      }`,
    );
  }
  const total = sum(outcomes);
  console.log(["", "── summary ──", ...lines, "", plainLine(total)].join("\n"));
  return total.failed === 0 ? 0 : 1;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => {
    endAll();
    console.error(`\nended by ${signal}`);
    Deno.exit(signal === "SIGINT" ? 130 : 143);
  });
}
Deno.exit(await main(Deno.args));
