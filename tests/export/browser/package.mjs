// Opens pages in Chromium that run exported models, and prints as JSON what each says of them.
// node package.mjs CHROMIUM URL...

import { chromium } from "playwright-core";

const [, , executablePath, ...addresses] = process.argv;
const quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args: quiet });
const seen = [];
for (const address of addresses) {
  const tab = await browser.newPage();
  const errors = [];
  tab.on("pageerror", (error) => errors.push(String(error)));
  tab.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await tab.goto(address);
  await tab.waitForFunction(() => window.results, null, { timeout: 60000 }).catch(() => errors.push("no results"));
  seen.push({ errors, ...(await tab.evaluate(() => ({ results: window.results, backend: window.backend }))) });
  await tab.close();
}
console.log(JSON.stringify(seen));
await browser.close();
