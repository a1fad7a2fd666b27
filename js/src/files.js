// Files, by paths in Node.js and by addresses everywhere.

/**
 * A module of Node.js's own, where there is one; an `import` would stop bundlers for browsers.
 * @param {string} name
 * @returns {any}
 */
const builtin = (name) => globalThis.process?.getBuiltinModule?.(name);

/** Whether the platform reads paths. */
export const readsPaths = builtin("node:fs") !== undefined;

/**
 * The address of a file.
 * @param {string | URL} source
 * @returns {URL}
 */
export function located(source) {
  if (source instanceof URL) return source;
  if (/^[a-z][a-z\d+.-]+:/i.test(source)) return new URL(source); // two letters: `C:` is a disk
  if (readsPaths) return builtin("node:url").pathToFileURL(source);
  return new URL(source, globalThis.document?.baseURI ?? globalThis.location.href);
}

/**
 * The content of a file.
 * @param {URL} address
 * @returns {Promise<Uint8Array>}
 */
export async function content(address) {
  if (readsPaths && address.protocol === "file:") return builtin("node:fs").promises.readFile(address);
  const answer = await fetch(address);
  if (!answer.ok)
    throw new Error(`A model's files must be there. Received: ${answer.status} for ${address}. Look at the address.`);
  return new Uint8Array(await answer.arrayBuffer());
}

/**
 * The path of a file on disk, so that what lies beside it is found; else its content.
 * @param {URL} address
 */
export async function pathOrContent(address) {
  if (readsPaths && address.protocol === "file:") return builtin("node:url").fileURLToPath(address);
  return content(address);
}

/**
 * A file of JSON.
 * @param {URL} address
 * @returns {Promise<any>}
 */
export async function json(address) {
  const text = new TextDecoder().decode(await content(address));
  try {
    return JSON.parse(text);
  } catch {
    throw new SyntaxError(`A file that ends in .json must hold JSON. Received: ${address}, "${text.slice(0, 40)}".`);
  }
}
