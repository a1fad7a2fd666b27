// What `tests/export/test_node.py` exported, in the package.
// EXPORTS is a folder whose `rows.json` lists the models; RUNTIME the module that runs them, FORMATS theirs.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { load } from "cornu-runtime";
import { check, revived } from "./same.mjs";

const { EXPORTS, RUNTIME, FORMATS } = process.env;
const runtime = await import(RUNTIME);
const rows = JSON.parse(await readFile(join(EXPORTS, "rows.json"), "utf8"), revived);

for (const row of rows.filter(({ format }) => FORMATS.split(" ").includes(format)))
  test(`${row.name} ${row.format}`, () => check(load, row, (file) => join(EXPORTS, file), { runtime }));
