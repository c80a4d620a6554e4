import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgument } from "../../src/core/errors.ts";
import { checkPermissions, permissionFlags } from "../../src/executor/permissions.ts";

const inDeno = { skip: "Deno" in globalThis ? false : "Deno alone has permissions" };

test("checkPermissions() takes what Deno knows", () => {
  for (
    const good of [
      "none",
      "inherit",
      {},
      { read: true, write: false, net: "inherit", env: ["A"], sys: [], run: ["git"] },
      { read: [new URL("file:///a")], ffi: false, import: ["example.com"] },
    ]
  ) assert.deepEqual(checkPermissions(good, "permissions"), good);
});

test("checkPermissions() refuses what it does not", () => {
  const refusals = [null, "all", [], { hrtime: true }, { read: "yes" }, { net: [1] }].map((bad) => {
    try {
      checkPermissions(bad, 'permissions of group "g"');
    } catch (error) {
      assert.ok(error instanceof InvalidArgument);
      return error.message;
    }
    throw new Error("it was taken");
  });
  const act = 'Cannot use permissions of group "g"';
  assert.deepEqual(refusals, [
    `${act}: null is neither "inherit", "none" nor an object`,
    `${act}: "all" is neither "inherit", "none" nor an object`,
    `${act}: an array is neither "inherit", "none" nor an object`,
    `${act}: there is no permission "hrtime"; there are read, write, net, env, sys, run, ffi, import`,
    `${act}.read: "yes" is neither true, false, "inherit" nor a list of names`,
    `${act}.net: an array is neither true, false, "inherit" nor a list of names`,
  ]);
});

test("permissionFlags() denies by a flag what it does not grant", inDeno, () => {
  assert.deepEqual(permissionFlags("inherit"), ["--allow-all"]);
  const denied = ["read", "write", "net", "env", "sys", "run", "ffi"].map((kind) =>
    `--deny-${kind}`
  );
  assert.deepEqual(permissionFlags("none"), denied);
  assert.deepEqual(permissionFlags({}), denied);
  assert.deepEqual(
    permissionFlags({
      read: ["/a", new URL("file:///b%20c")],
      write: [],
      net: true,
      env: "inherit",
      run: false,
      import: ["example.com:443"],
    }),
    [
      "--allow-read=/a,/b c",
      "--deny-write",
      "--allow-net",
      "--allow-env",
      "--deny-sys",
      "--deny-run",
      "--deny-ffi",
      "--allow-import=example.com:443",
    ],
  );
});

test("permissionFlags() refuses an entry that would be two", () => {
  assert.throws(
    () => permissionFlags({ read: ["/a,/etc"] }),
    new InvalidArgument(
      'Cannot give a process the permission "/a,/etc": it is empty or holds a comma',
    ),
  );
});
