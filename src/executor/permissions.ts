/**
 * What the code of a group may touch: the permissions of Deno, for its threads (the `permissions` option of a Web
 * Worker) and for its processes (flags on the command line). Bun has no permissions.
 *
 * @module
 */

import { shown } from "../core/duration.ts";
import { InvalidArgument } from "../core/errors.ts";

/** The kinds of permissions that Deno knows. */
export type PermissionKind =
  | "read"
  | "write"
  | "net"
  | "env"
  | "sys"
  | "run"
  | "ffi"
  | "import";
const KINDS: readonly PermissionKind[] = [
  "read",
  "write",
  "net",
  "env",
  "sys",
  "run",
  "ffi",
  "import",
];

/** One kind: all of it, nothing, what the worker itself has, or what a list names (paths, hosts, variables, …). */
export type PermissionGrant = boolean | "inherit" | readonly (string | URL)[];

/**
 * The permissions of a group's threads or processes. `"inherit"` (the default) is what the worker has, `"none"` nothing;
 * of an object's kinds, those that are not named are not granted. Deno alone can restrict; see
 * https://docs.deno.com/runtime/fundamentals/security/ for what the lists may hold.
 *
 * A permission is no sandbox for code that means harm: give that a process, and a user of the system of its own.
 */
export type Permissions =
  | "inherit"
  | "none"
  | { readonly [kind in PermissionKind]?: PermissionGrant };

/** Whether the permissions ask for less than the worker has. */
export function isRestricted(permissions: Permissions | undefined): permissions is Permissions {
  return permissions !== undefined && permissions !== "inherit";
}

/**
 * Looks at permissions that a caller wrote. `what` names them in the error.
 *
 * @throws {InvalidArgument} If they have a kind that does not exist, or a grant that is none.
 */
export function checkPermissions(permissions: unknown, what: string): Permissions {
  if (permissions === "inherit" || permissions === "none") return permissions;
  if (
    typeof permissions !== "object" || permissions === null || Array.isArray(permissions)
  ) {
    throw new InvalidArgument(
      `Cannot use ${what}: ${shown(permissions)} is neither "inherit", "none" nor an object`,
    );
  }
  const checked: { [kind in PermissionKind]?: PermissionGrant } = {};
  for (const [name, grant] of Object.entries(permissions)) {
    const kind = KINDS.find((known) => known === name);
    if (kind === undefined) {
      throw new InvalidArgument(
        `Cannot use ${what}: there is no permission "${name}"; there are ${KINDS.join(", ")}`,
      );
    }
    checked[kind] = checkGrant(grant, `${what}.${kind}`);
  }
  return checked;
}

function checkGrant(grant: unknown, what: string): PermissionGrant {
  if (typeof grant === "boolean" || grant === "inherit") return grant;
  if (Array.isArray(grant) && grant.every((item) => typeof item === "string" || isUrl(item))) {
    return grant;
  }
  throw new InvalidArgument(
    `Cannot use ${what}: ${shown(grant)} is neither true, false, "inherit" nor a list of names`,
  );
}

function isUrl(value: unknown): value is URL {
  return value instanceof URL;
}

/** The permissions as an option of a Web Worker of Deno. */
export function threadPermissions(permissions: Permissions): Deno.PermissionOptions {
  if (typeof permissions === "string") return permissions;
  const named = Object.entries(permissions).map(([kind, grant]) => [
    kind,
    typeof grant === "object"
      ? grant.map((item) => item instanceof URL ? toItem(item) : item)
      : grant,
  ]);
  return Object.fromEntries(named);
}

/**
 * The flags that give a process these permissions. What is inherited in part only (`--allow-read=./data`) cannot be
 * read back from the runtime, and is not passed on; such a group names what its processes need.
 *
 * What is not granted is denied by a flag: a Deno that starts a Deno without any such flag grants it everything, to be
 * like Node (https://github.com/denoland/deno/pull/35443). `import` apart: denied, it would keep the handler's own
 * modules out.
 *
 * @throws {InvalidArgument} If a list holds an entry with a comma, which the command line takes for two.
 */
export function permissionFlags(permissions: Permissions): string[] {
  if (permissions === "inherit" && KINDS.every(hasAll)) return ["--allow-all"];
  return KINDS.flatMap((kind) => {
    const granted = toGrant(permissions, kind);
    if (granted === true) return [`--allow-${kind}`];
    if (granted === false) return kind === "import" ? [] : [`--deny-${kind}`];
    return [`--allow-${kind}=${granted.map(toItem).join(",")}`];
  });
}

/** What of a kind a process is granted: all, nothing, or what a list names. */
function toGrant(
  permissions: Permissions,
  kind: PermissionKind,
): boolean | readonly (string | URL)[] {
  if (permissions === "none") return false;
  const grant = permissions === "inherit" ? "inherit" : permissions[kind] ?? false;
  if (grant === "inherit") return hasAll(kind);
  return typeof grant === "object" && grant.length === 0 ? false : grant;
}

function toItem(item: string | URL): string {
  const text = item instanceof URL
    ? item.protocol === "file:" ? decodeURIComponent(item.pathname) : item.href
    : item;
  if (text.includes(",") || text === "") {
    throw new InvalidArgument(
      `Cannot give a process the permission ${shown(text)}: it is empty or holds a comma`,
    );
  }
  return text;
}

/** Whether the worker itself has all of a kind. */
function hasAll(kind: PermissionKind): boolean {
  const status = Deno.permissions.querySync({ name: kind });
  return status.state === "granted" && !("partial" in status && status.partial);
}
