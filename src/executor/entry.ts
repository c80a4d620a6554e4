/**
 * The first module of a thread or process. It is written here as text, because only a specifier that stands in the
 * source is loaded without the permission to read: a thread with `permissions: "none"` can so have its handler.
 *
 * @module
 */

/**
 * The URL of a module in this folder, by its name without extension: what is TypeScript here is JavaScript in the
 * packages that JSR makes for npm.
 */
export function moduleUrl(name: string): URL {
  const [extension = ".ts"] = /\.[a-z]+$/.exec(new URL(import.meta.url).pathname) ?? [];
  return new URL(`./${name}${extension}`, import.meta.url);
}

/** A module that calls `run` of `mainUrl` with a function that imports the handler module. */
function entryCode(mainUrl: string, handlerUrl: string): string {
  return `import { run } from ${JSON.stringify(mainUrl)};\n` +
    `run(() => import(${JSON.stringify(handlerUrl)}));\n`;
}

/** That module as a URL that a Web Worker or `deno run` takes. */
export function entryUrl(mainUrl: string, handlerUrl: string): string {
  return `data:application/javascript,${encodeURIComponent(entryCode(mainUrl, handlerUrl))}`;
}

/** That module as text, for `bun -e`. */
export function entryText(mainUrl: string, handlerUrl: string): string {
  return entryCode(mainUrl, handlerUrl);
}
