/**
 * Which public symbols lack an example, read from what `deno doc --json` says of the exports.
 *
 * Functions, classes and constants must show how they are used; a type is shown where it is used. That everything has
 * words at all is `deno doc --lint`'s to say.
 *
 * @module
 */

/** The part of `deno doc --json` that is read here. */
interface Docs {
  readonly nodes: Readonly<Record<string, { readonly symbols: readonly DocSymbol[] }>>;
}

interface DocSymbol {
  readonly name: string;
  readonly declarations: readonly {
    readonly kind: string;
    readonly jsDoc?: { readonly tags?: readonly { readonly kind: string }[] };
  }[];
}

const NEED_EXAMPLE = new Set(["function", "class", "variable"]);

/** The names of the symbols that need an example and have none, from the JSON that `deno doc` prints. */
export function namesWithoutExample(json: string): string[] {
  const docs: Docs = JSON.parse(json);
  return Object.values(docs.nodes).flatMap(({ symbols }) =>
    symbols.filter(({ declarations }) =>
      declarations.some(({ kind }) => NEED_EXAMPLE.has(kind)) &&
      !declarations.some(({ jsDoc }) => jsDoc?.tags?.some(({ kind }) => kind === "example"))
    ).map(({ name }) => name)
  );
}
