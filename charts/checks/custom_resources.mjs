// Validates the custom resources of the rendered manifests against the models of their definitions: their values by the
// models, their fields (which the models leave alone when they do not know them) by the TypeScript compiler. Proves first
// that both can refuse.
//
//     node custom_resources.mjs MODELS MANIFESTS.json

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [models, manifests] = process.argv.slice(2);
const PACKAGES = {
    PrometheusRule: "prometheus-operator/monitoring.coreos.com/v1",
    PodMonitor: "prometheus-operator/monitoring.coreos.com/v1",
    ExternalSecret: "external-secrets/external-secrets.io/v1",
};
const FAULTS = {
    PrometheusRule: (document) => (document.spec.groups[0].rules[0].for = "ten minutes"),
    PodMonitor: (document) => (document.spec.podMetricsEndpoints[0].interval = "often"),
    ExternalSecret: (document) => (document.spec.data[0].remoteRef = {}),
};
const MISSPELT = {
    PrometheusRule: (document) => (document.spec.groups[0].rules[0].four = "10m"),
    PodMonitor: (document) => (document.spec.podMetricsEndpoints[0].pth = "/metrics"),
    ExternalSecret: (document) => (document.spec.data[0].remotRef = {}),
};

const KINDS = {};
for (const [kind, path] of Object.entries(PACKAGES)) {
    KINDS[kind] = (await import(pathToFileURL(`${models}/node_modules/@kubernetes-models/${path}/index.js`)))[kind];
}

function problem(document) {
    try {
        new KINDS[document.kind](document).validate();
    } catch (error) {
        return error.message;
    }
}

/** What the compiler says about each document, as an array in their order. */
function misspelt(documents) {
    const paths = [...new Set(Object.values(PACKAGES))];
    const imports = paths.map((path) => {
        const kinds = Object.keys(PACKAGES).filter((kind) => PACKAGES[kind] === path);
        return `import type { ${kinds.map((kind) => `I${kind}`).join(", ")} } from "@kubernetes-models/${path}";`;
    });
    // one line each, so that a line's number is a document's; written out, since only literals are checked for fields
    const lines = documents.map((document, index) => `export const d${index}: I${document.kind} = ${JSON.stringify(document)};`);
    writeFileSync(`${models}/documents.ts`, [imports.join(" "), ...lines].join("\n"));
    const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--pretty", "false"];
    const found = documents.map(() => undefined);
    try {
        execFileSync("node", [`${models}/node_modules/typescript/bin/tsc`, ...options, "documents.ts"], { cwd: models, encoding: "utf8" });
    } catch (error) {
        for (const line of error.stdout.split("\n")) {
            const at = line.match(/^documents\.ts\((\d+),\d+\): error \w+: (.*)$/);
            if (at && Number(at[1]) >= 2) found[Number(at[1]) - 2] ??= at[2];
            else if (at || /^error /.test(line)) throw new Error(line);
        }
    }
    return found;
}

const documents = JSON.parse(readFileSync(manifests)).filter((document) => document.kind in KINDS);
const problems = [];
const seeded = [];
for (const kind of Object.keys(KINDS)) {
    const good = documents.find((document) => document.kind === kind);
    const [fault, typo] = [structuredClone(good), structuredClone(good)];
    FAULTS[kind](fault);
    if (!problem(fault)) problems.push(`a seeded fault in ${kind} passes`);
    MISSPELT[kind](typo);
    seeded.push(typo);
}
const fields = misspelt([...seeded, ...documents]);
seeded.forEach(({ kind }, index) => fields[index] ?? problems.push(`a misspelt field in ${kind} passes`));
documents.forEach((document, index) => {
    const found = problem(document) ?? fields[seeded.length + index];
    if (found) problems.push(`${document.kind} ${document.metadata.name}: ${found}`);
});
if (problems.length > 0) {
    console.error(problems.join("\n"));
    process.exit(1);
}
console.log(`${documents.length} custom resources are valid`);
