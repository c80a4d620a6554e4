/**
 * The end of an exhaustive switch.
 *
 * @module
 */

/** Never called: the type checker proves that every case was handled before. */
export function unreachable(value: never): never {
  throw new Error(`Cannot happen: ${JSON.stringify(value)}`);
}
