import assert from "node:assert/strict";
import { test } from "node:test";
import { toBlame } from "../../src/executor/blame.ts";

test("who was named is to blame, else who held the thread, else who was alone, else all", () => {
  const cases: [Parameters<typeof toBlame>[0], readonly number[]][] = [
    [{ named: 2, holder: 1, begun: [1, 2, 3] }, [2]],
    [{ named: 0, holder: 1, begun: [1, 2] }, []],
    [{ named: 9, holder: 0, begun: [1] }, [1]],
    [{ named: null, holder: 3, begun: [1, 3] }, [3]],
    [{ named: null, holder: 9, begun: [1] }, [1]],
    [{ named: null, holder: 0, begun: [1, 2] }, [1, 2]],
    [{ named: null, holder: 0, begun: [] }, []],
  ];
  for (const [end, blamed] of cases) assert.deepEqual(toBlame(end), blamed, JSON.stringify(end));
});
