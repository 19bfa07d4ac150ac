// Validates the custom resources of the rendered manifests against the models of their definitions, and proves first that
// the models can refuse.
//
//     node custom_resources.mjs MODELS MANIFESTS.json

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [models, manifests] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(`${models}/node_modules/@kubernetes-models/${path}/v1/index.js`));
const { PrometheusRule, PodMonitor } = await load("prometheus-operator/monitoring.coreos.com");
const { ExternalSecret } = await load("external-secrets/external-secrets.io");
const KINDS = { PrometheusRule, PodMonitor, ExternalSecret };

function problem(document) {
    try {
        new KINDS[document.kind](document).validate();
    } catch (error) {
        return error.message;
    }
}

const documents = JSON.parse(readFileSync(manifests)).filter((document) => document.kind in KINDS);
const faults = {
    PrometheusRule: (document) => (document.spec.groups[0].rules[0].for = "ten minutes"),
    PodMonitor: (document) => (document.spec.podMetricsEndpoints[0].interval = "often"),
    ExternalSecret: (document) => (document.spec.data[0].remoteRef = {}),
};
const problems = [];
for (const kind of Object.keys(KINDS)) {
    const document = structuredClone(documents.find((document) => document.kind === kind));
    faults[kind](document);
    if (!problem(document)) problems.push(`a seeded fault in ${kind} passes`);
}
for (const document of documents) {
    const found = problem(document);
    if (found) problems.push(`${document.kind} ${document.metadata.name}: ${found}`);
}
if (problems.length > 0) {
    console.error(problems.join("\n"));
    process.exit(1);
}
console.log(`${documents.length} custom resources are valid`);
