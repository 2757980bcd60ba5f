// Reads Mermaid blocks, a JSON list, from its input; prints what is wrong with each: "" for nothing.
// Mermaid cleans labels by DOMPurify, which wants a window: jsdom's.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const home = createRequire(`${process.argv[2]}/package.json`);
const { window } = new (home("jsdom").JSDOM)();
Object.assign(globalThis, { window, document: window.document });
const { default: mermaid } = await import(pathToFileURL(home.resolve("mermaid")));

const wrong = [];
for (const block of JSON.parse(await text(process.stdin))) {
  wrong.push(await mermaid.parse(block).then(() => "", (error) => error.message || "refused"));
}
console.log(JSON.stringify(wrong));
