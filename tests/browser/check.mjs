// Looks at the pages of `sunset serve` as a phone and as a desk shows them, in both languages, light and dark, with
// scripts switched off. Prints one line for each finding and ends with 1 if there are any.
//
//   node check.mjs BASE_URL CHROMIUM [DIRECTORY FOR SCREENSHOTS]

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [base, executablePath, directory] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const screens = { phone: { width: 360, height: 740 }, desk: { width: 1280, height: 900 } };
const findings = [];
let looked = 0;

// without these, Chromium looks for hosts of its maker at every start
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args });
if (directory) mkdirSync(directory, { recursive: true });

for (const [screen, viewport] of Object.entries(screens)) {
  for (const colorScheme of ["light", "dark"]) {
    for (const language of ["en", "ja"]) {
      const plain = await browser.newContext({ viewport, colorScheme, javaScriptEnabled: false, isMobile: screen === "phone" });
      const scripted = await browser.newContext({ viewport, colorScheme, bypassCSP: true });
      for (const path of ["/", "/rules", "/recipients", "/ledger"]) {
        const name = `${path === "/" ? "overview" : path.slice(1)}-${screen}-${language}-${colorScheme}`;
        const url = `${base}${path}?lang=${language}`;
        const find = (text) => findings.push(`${name}: ${text}`);

        const page = await plain.newPage();
        const asked = [];
        page.on("request", (request) => { if (!request.url().startsWith("data:")) asked.push(request.url()); });
        page.on("console", (message) => find(`console: ${message.text()}`));
        const answer = await page.goto(url);
        if (answer.status() !== 200) find(`status ${answer.status()}`);
        if (asked.length !== 1) find(`loads ${asked.join(", ")}`);
        if (directory) await page.screenshot({ path: `${directory}/${name}.png`, fullPage: true });
        await page.close();

        // the same page where the checks' own scripts may run; the page has none
        const checked = await scripted.newPage();
        await checked.goto(url);
        const width = await checked.evaluate(() => document.documentElement.scrollWidth);
        if (width > viewport.width) find(`${width} px wide on a screen of ${viewport.width} px`);
        if (await checked.evaluate(() => document.scripts.length) > 0) find("has scripts");
        const facts = await checked.evaluate(() => ({
          lang: document.documentElement.lang,
          h1: document.querySelectorAll("h1").length,
          captions: [...document.querySelectorAll("table")].every((table) => table.caption?.textContent.trim()),
          cells: [...document.querySelectorAll("td")].every((cell) => cell.dataset.label),
        }));
        if (facts.lang !== language) find(`says that it is in ${facts.lang}`);
        if (facts.h1 !== 1) find(`${facts.h1} first headings`);
        if (!facts.captions) find("a table without a caption");
        if (!facts.cells) find("a cell without a label for small screens");
        await checked.evaluate(axe);
        const { violations } = await checked.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
        for (const { id, nodes } of violations) find(`${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
        await checked.close();
        looked += 1;
      }
      await plain.close();
      await scripted.close();
    }
  }
}
await browser.close();
for (const finding of findings) console.log(finding);
console.log(`${looked} pages looked at, ${findings.length} findings`);
process.exit(findings.length > 0 ? 1 : 0);
