import assert from "node:assert/strict";
import { test } from "node:test";
import { explore, type Flaw } from "./model.ts";

test("no interleaving of ten moves breaks a promise, whatever becomes of the commits", (t) => {
  const { states, moves, breach, tried } = explore(10);
  t.diagnostic(`${states} states, ${moves} moves`);
  assert.deepEqual(breach, null);
  for (const kind of ["claim", "settle", "rescue", "cancel"]) {
    for (const outcome of ["ok", "lost", "answer lost", "late"]) {
      assert.ok((tried.get(`${kind}: ${outcome}`) ?? 0) > 0, `${kind}: ${outcome}`);
    }
  }
});

test("nor does any of eight moves for a task that lost two leases before: the third is poison", () => {
  const { breach } = explore(8, { lost: 2 });
  assert.deepEqual(breach, null);
});

const FLAWS: readonly [Flaw, RegExp][] = [
  ["no fence", /is broken/],
  ["blind rescue", /I[1-4] is broken/],
  ["claim unchecked", /I[1-4] is broken|I12/],
  ["run on a guess", /I9 is broken|I[1-4]/],
  ["cancel unchecked", /I[1-4] is broken|I12/],
  ["due entry left", /I4 is broken/],
  ["lost lease not counted", /I11 is broken/],
];

for (const [flaw, wanted] of FLAWS) {
  test(`the model finds a protocol with the flaw "${flaw}"`, (t) => {
    const { breach } = explore(10, { flaw });
    assert.notEqual(breach, null);
    t.diagnostic((breach ?? []).join(" → "));
    assert.match(breach?.at(-1) ?? "", wanted);
  });
}
