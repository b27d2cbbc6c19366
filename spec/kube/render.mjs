// Objects as helm and kubectl render them, and what is wrong with them by the types and schemas of kubernetes-models.
// The types find unknown fields (a literal may have no excess property), the schemas what a type cannot say.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import * as yaml from "js-yaml";
import ts from "typescript";
import * as gateway from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1";
import * as monitoring from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import * as apps from "kubernetes-models/apps/v1";
import * as autoscaling from "kubernetes-models/autoscaling/v2";
import * as networking from "kubernetes-models/networking.k8s.io/v1";
import * as policy from "kubernetes-models/policy/v1";
import * as core from "kubernetes-models/v1";

const HERE = path.dirname(new URL(import.meta.url).pathname);
export const ROOT = process.env.MOONGATE_ROOT;
export const CHART = path.join(ROOT, "conf/kubernetes/chart");

function run(program, args) {
  const result = spawnSync(path.join(HERE, "tools", program, program), args, {
    encoding: "utf8",
    env: { PATH: process.env.PATH, HOME: HERE, HELM_CACHE_HOME: HERE, HELM_CONFIG_HOME: HERE, HELM_DATA_HOME: HERE },
  });
  return { code: result.status, out: result.stdout, err: result.stderr };
}

const parse = (text) => yaml.loadAll(text).filter(Boolean);

export const helm = (...args) => run("helm", args);

// The chart's objects with these values (an object); throws with helm's words.
export function chart(values = {}, ...more) {
  const file = path.join(HERE, "values.json");
  fs.writeFileSync(file, JSON.stringify(values));
  const result = helm("template", "moongate", CHART, "--namespace", "moongate", "--values", file, ...more);
  if (result.code !== 0) throw new Error(result.err);
  return parse(result.out);
}

export function kustomize(dir) {
  const result = run("kubectl", ["kustomize", path.isAbsolute(dir) ? dir : path.join(ROOT, "conf/kubernetes", dir)]);
  if (result.code !== 0) throw new Error(result.err);
  return parse(result.out);
}

export const read = (file) => parse(fs.readFileSync(path.join(ROOT, "conf/kubernetes", file), "utf8"));

export const find = (objects, kind, name) => objects.find((o) => o.kind === kind && (!name || o.metadata.name === name));

const MODULES = {
  "v1": "kubernetes-models/v1",
  "apps/v1": "kubernetes-models/apps/v1",
  "policy/v1": "kubernetes-models/policy/v1",
  "autoscaling/v2": "kubernetes-models/autoscaling/v2",
  "networking.k8s.io/v1": "kubernetes-models/networking.k8s.io/v1",
  "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
  "gateway.networking.k8s.io/v1": "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1",
};
const CLASSES = {
  "v1": core, "apps/v1": apps, "policy/v1": policy, "autoscaling/v2": autoscaling, "networking.k8s.io/v1": networking,
  "monitoring.coreos.com/v1": monitoring, "gateway.networking.k8s.io/v1": gateway,
};

// Problems that the schema validators find.
function bySchema(object) {
  const Model = CLASSES[object.apiVersion]?.[object.kind];
  if (!Model) return [`${object.apiVersion} ${object.kind}: no schema of it is known`];
  try {
    new Model(structuredClone(object)).validate();
    return [];
  } catch (error) {
    return [`${object.kind} ${object.metadata?.name}: ${error.message}`];
  }
}

// Problems that the TypeScript compiler finds when every object is a literal of its type.
function byType(objects) {
  const file = path.join(HERE, "objects.ts");
  const source = objects.map((o, i) => {
    const from = JSON.stringify(MODULES[o.apiVersion]);
    return `import type { I${o.kind} as T${i} } from ${from};\nexport const o${i}: T${i} = ${JSON.stringify(o, null, 1)};\n`;
  });
  fs.writeFileSync(file, source.join(""));
  const program = ts.createProgram([file], {
    noEmit: true, strict: true, skipLibCheck: true, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022, types: [],
  });
  return ts.getPreEmitDiagnostics(program).map((d) => {
    const at = d.file ? `${d.file.fileName.replace(/.*\//, "")}:${d.file.getLineAndCharacterOfPosition(d.start).line + 1}: ` : "";
    return at + ts.flattenDiagnosticMessageText(d.messageText, " ");
  });
}

export const problems = (objects) => [...objects.flatMap(bySchema), ...byType(objects)];
