// What a cluster would get: see spec/kube/run. Prints `kube: N passed, N failed`.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import * as yaml from "js-yaml";
import { CHART, ROOT, chart, find, helm, kustomize, problems, read } from "./render.mjs";

const BIN = process.env.MOONGATE_BIN;
const SLOW = Number(process.env.SLOW || 1);
const BASE_VALUES = yaml.load(fs.readFileSync(path.join(ROOT, "spec/kube/values/base.yaml"), "utf8"));

// Everything that can be turned on.
const ALL = {
  ...BASE_VALUES,
  image: { repository: "registry.example/moongate", digest: "sha256:" + "0".repeat(64), pullSecrets: ["registry"] },
  dblessConfig: { configMap: "my-config" },
  plugins: { configMaps: [{ pluginName: "hello", name: "plugin-hello" }], secrets: [{ pluginName: "hidden", name: "plugin-hidden" }] },
  secrets: [{ name: "openai", keys: ["api-key"] }],
  secretVolumes: ["tls-pair"],
  env: { log_level: "debug", workers: 4, trusted_ips: "10.0.0.0/8", ssl_cert: { valueFrom: { secretKeyRef: { name: "a", key: "b" } } } },
  customEnv: { OPENAI_API_KEY: { valueFrom: { secretKeyRef: { name: "openai", key: "api-key" } } } },
  envFrom: [{ configMapRef: { name: "more" } }],
  proxy: { type: "LoadBalancer", externalTrafficPolicy: "Local", loadBalancerClass: "example.com/lb", annotations: { a: "b" }, labels: { c: "d" } },
  admin: { enabled: true, http: { enabled: true }, annotations: { a: "b" }, labels: { c: "d" } },
  serviceMonitor: { enabled: true, trustCRDsExist: true, labels: { release: "prometheus" } },
  networkPolicy: { proxyFrom: [{ podSelector: {} }], adminFrom: [{ podSelector: {} }], extraEgress: [{ ports: [{ port: 6379, protocol: "TCP" }] }] },
  deployment: {
    serviceAccount: { annotations: { a: "b" } },
    userDefinedVolumes: [{ name: "extra", emptyDir: {} }],
    userDefinedVolumeMounts: [{ name: "extra", mountPath: "/extra" }],
    sidecarContainers: [{ name: "side", image: "side:1" }],
    initContainers: [{ name: "init", image: "init:1" }],
  },
  tolerations: [{ key: "a", operator: "Exists" }],
  affinity: { nodeAffinity: {} },
  nodeSelector: { "kubernetes.io/arch": "amd64" },
  topologySpreadConstraints: [{ maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "DoNotSchedule", labelSelector: {} }],
  podLabels: { team: "ai" }, podAnnotations: { a: "b" }, extraLabels: { e: "f" }, priorityClassName: "high",
};

const OVERLAYS = ["overlays/hot", "overlays/rollout"];
const tests = [];
const test = (name, fn) => tests.push([name, fn]);

const pod = (objects) => find(objects, "Deployment").spec.template.spec;
const env = (objects) => Object.fromEntries(pod(objects).containers[0].env.map((e) => [e.name, e.value]));

test("the chart is without a complaint of helm's", () => {
  const result = helm("lint", "--strict", CHART);
  assert.equal(result.code, 0, result.out + result.err);
});

test("every object is what its schema and its type allow", () => {
  const sets = { defaults: chart(), all: chart(ALL), rollout: chart({ reload: "rollout" }) };
  for (const dir of OVERLAYS) sets[dir] = kustomize(dir);
  sets.monitor = read("components/servicemonitor/servicemonitor.yaml");
  sets.route = read("examples/httproute.yaml");
  for (const [name, objects] of Object.entries(sets)) assert.ok(objects.length > 0, name);
  assert.deepEqual(problems(Object.values(sets).flat()), []);
});

test("the check of schemas and types finds mistakes", () => {
  const [deployment] = [find(chart(), "Deployment")];
  const broken = (change) => {
    const copy = structuredClone(deployment);
    change(copy);
    return problems([copy]).length;
  };
  assert.equal(broken(() => {}), 0);
  assert.notEqual(broken((d) => (d.spec.template.spec.containers[0].livenesProbe = {})), 0);
  assert.notEqual(broken((d) => (d.spec.minReadySeconds = "5")), 0);
  assert.notEqual(broken((d) => delete d.spec.selector), 0);
});

// Helm's own labels; a base has none of them. Names are the same by spec/kube/values/base.yaml.
function comparable(objects) {
  const strip = (value) => {
    if (Array.isArray(value)) return value.map(strip);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value)
      .filter(([key]) => key !== "helm.sh/chart" && key !== "app.kubernetes.io/managed-by")
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, v]) => [key, strip(v)]));
  };
  const map = {};
  for (const object of objects) map[`${object.kind}/${object.metadata.name}`] = strip(object);
  return map;
}

test("the chart and the base render the same objects", () => {
  const fromChart = comparable(chart(BASE_VALUES)), fromBase = comparable(kustomize("overlays/hot"));
  const versions = [fromChart, fromBase].map((map) => {
    const config = map["ConfigMap/moongate-config"];
    assert.ok(config.data["kong.yml"]);
    for (const key of ["data", "metadata"]) delete config[key]; // theirs is their own
    return map;
  });
  assert.deepEqual(versions[0], versions[1]);
  const monitor = find(chart({ ...BASE_VALUES, serviceMonitor: { enabled: true, trustCRDsExist: true } }), "ServiceMonitor");
  const [component] = read("components/servicemonitor/servicemonitor.yaml");
  component.metadata.namespace = "moongate";
  assert.deepEqual(comparable([monitor]), comparable([component]));
});

// The same number in YAML 1.1 (helm, kubectl) and 1.2 (the reader here): 0440 is not.
test("files of the volumes are for the pod's group to read, and nobody's to write", () => {
  const sets = { all: chart(ALL), chart: chart(), hot: kustomize("overlays/hot"), rollout: kustomize("overlays/rollout") };
  for (const [name, objects] of Object.entries(sets)) {
    const modes = pod(objects).volumes.map((v) => v.projected || v.secret).filter(Boolean).map((v) => v.defaultMode);
    assert.ok(modes.length > 0, name);
    assert.deepEqual(modes, modes.map(() => 0o440), name);
  }
});

test("both overlays serve the same sample", () => {
  const [hot, rollout] = OVERLAYS.map((dir) => fs.readFileSync(path.join(ROOT, "conf/kubernetes", dir, "kong.yml"), "utf8"));
  assert.equal(hot, rollout);
});

test("rollout: a changed configuration is another Deployment", () => {
  const objects = kustomize("overlays/rollout");
  const name = find(objects, "ConfigMap").metadata.name;
  assert.match(name, /^moongate-config-[a-z0-9]{10}$/);
  assert.equal(pod(objects).volumes[0].projected.sources[0].configMap.name, name);
  assert.equal(env(objects).MOONGATE_WATCH, "off");
  const sum = (config) => find(chart({ reload: "rollout", dblessConfig: { config } }), "Deployment").spec.template.metadata.annotations;
  assert.notEqual(sum("a")["checksum/dbless.config"], sum("b")["checksum/dbless.config"]);
  assert.equal(env(chart({ reload: "rollout" })).MOONGATE_WATCH, "off");
});

test("hot: a changed configuration is the same Deployment", () => {
  const objects = kustomize("overlays/hot");
  assert.equal(find(objects, "ConfigMap").metadata.name, "moongate-config");
  const deployment = (config) => find(chart({ dblessConfig: { config } }), "Deployment");
  assert.deepEqual(deployment("a"), deployment("b"));
  assert.equal(env(objects).MOONGATE_WATCH, "auto");
});

// What the policy "restricted" of Pod Security Standards asks for.
function restricted(spec) {
  assert.ok(!spec.hostNetwork && !spec.hostPID && !spec.hostIPC);
  assert.equal(spec.securityContext.runAsNonRoot, true);
  assert.notEqual(spec.securityContext.runAsUser, 0);
  assert.equal(spec.securityContext.seccompProfile.type, "RuntimeDefault");
  for (const volume of spec.volumes) {
    const kind = Object.keys(volume).find((key) => key !== "name");
    assert.ok(["projected", "emptyDir", "secret", "configMap"].includes(kind), kind);
  }
  const { securityContext } = spec.containers[0];
  assert.equal(securityContext.allowPrivilegeEscalation, false);
  assert.deepEqual(securityContext.capabilities.drop, ["ALL"]);
  assert.equal(securityContext.capabilities.add, undefined);
  assert.equal(securityContext.readOnlyRootFilesystem, true);
  assert.equal(spec.automountServiceAccountToken, false);
  assert.ok((spec.containers[0].ports ?? []).every((p) => !p.hostPort));
}

test("pods are restricted", () => {
  for (const objects of [chart(), chart(ALL), kustomize("overlays/hot")]) restricted(pod(objects));
});

test("names and selectors meet", () => {
  for (const objects of [chart(), chart(ALL), kustomize("overlays/hot"), kustomize("overlays/rollout")]) {
    const deployment = find(objects, "Deployment"), labels = deployment.spec.template.metadata.labels;
    const selects = (selector) => Object.entries(selector).every(([key, value]) => labels[key] === value);
    const ports = pod(objects).containers[0].ports.map((p) => p.name);
    assert.ok(selects(deployment.spec.selector.matchLabels));
    for (const service of objects.filter((o) => o.kind === "Service")) {
      assert.ok(selects(service.spec.selector));
      for (const port of service.spec.ports) assert.ok(ports.includes(port.targetPort), port.targetPort);
    }
    assert.ok(selects(find(objects, "PodDisruptionBudget").spec.selector.matchLabels));
    assert.ok(selects(find(objects, "NetworkPolicy").spec.podSelector.matchLabels));
    assert.equal(find(objects, "HorizontalPodAutoscaler").spec.scaleTargetRef.name, deployment.metadata.name);
    assert.equal(pod(objects).serviceAccountName, find(objects, "ServiceAccount").metadata.name);
    const container = pod(objects).containers[0], volumes = pod(objects).volumes.map((v) => v.name);
    for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"]) assert.ok(ports.includes(container[probe].httpGet.port));
    for (const mount of container.volumeMounts) assert.ok(volumes.includes(mount.name), mount.name);
  }
  const [route] = read("examples/httproute.yaml"), objects = kustomize("overlays/hot");
  const backend = route.spec.rules[0].backendRefs[0];
  assert.ok(find(objects, "Service", backend.name).spec.ports.some((p) => p.port === backend.port));
  assert.equal(route.metadata.namespace, find(objects, "Service").metadata.namespace);
});

test("the Admin API is off, and behind a Service of its own when it is on", () => {
  const admin = (objects) => objects.find((o) => o.kind === "Service" && o.metadata.name.endsWith("-admin"));
  assert.equal(admin(chart()), undefined);
  assert.equal(env(chart()).MOONGATE_ADMIN_LISTEN, undefined);
  const on = chart({ admin: { enabled: true } });
  assert.equal(env(on).MOONGATE_ADMIN_LISTEN, "0.0.0.0:8444 ssl");
  assert.deepEqual(admin(on).spec.ports, [{ name: "admin-tls", port: 8444, targetPort: "admin-tls", protocol: "TCP" }]);
  const reachable = (objects) => find(objects, "NetworkPolicy").spec.ingress.some((rule) => rule.ports.some((p) => p.port === "admin-tls"));
  assert.equal(reachable(on), false);
  assert.equal(reachable(chart(ALL)), true);
  assert.equal(env(chart(ALL)).MOONGATE_ADMIN_LISTEN, "0.0.0.0:8001, 0.0.0.0:8444 ssl");
});

test("configuration, plugins and secrets are one volume", () => {
  const { sources } = pod(chart(ALL)).volumes.find((v) => v.name === "live").projected;
  const paths = sources.flatMap((s) => (s.configMap ?? s.secret).items ?? []).map((item) => item.path);
  assert.equal(sources[0].configMap.name, "my-config");
  assert.deepEqual(paths, ["plugins/hello/handler.lua", "plugins/hello/schema.lua", "plugins/hidden/handler.lua",
    "plugins/hidden/schema.lua", "secrets/openai/api-key"]);
  assert.ok(!find(chart(ALL), "ConfigMap"));
});

test("what cannot work is refused in words", () => {
  const refused = (values, words) => assert.throws(() => chart(values), words);
  refused({ terminationGracePeriodSeconds: 30 }, /terminationGracePeriodSeconds is 30.*at least.*270/);
  refused({ replicaCount: 1, autoscaling: { enabled: false } }, /one replica would block node drains/);
  refused({ dblessConfig: { configMap: "a", secret: "b" } }, /choose one/);
  refused({ proxy: { http: { enabled: false }, tls: { enabled: false } } }, /nothing would listen/);
  refused({ ingressController: { enabled: true } }, /ingressController/);
  refused({ reload: "sometimes" }, /reload/);
  refused({ env: { log_levle: "debug" } }, /log_levle/);
  refused({ image: { digest: "latest" } }, /digest/);
  chart({ replicaCount: 1, autoscaling: { enabled: false }, podDisruptionBudget: { enabled: false } });
});

test("the settings that `env` takes are the program's", () => {
  const out = spawnSync(BIN, ["settings", "--effective"], { encoding: "utf8" }).stdout;
  const names = out.trim().split("\n").map((line) => line.split(" ")[0]);
  const schema = JSON.parse(fs.readFileSync(path.join(CHART, "values.schema.json"), "utf8"));
  const known = schema.properties.env.propertyNames.enum, hint = "edit properties.env.propertyNames.enum of values.schema.json";
  assert.deepEqual([...known].sort(), names.sort(), `${hint}: missing ${names.filter((n) => !known.includes(n))}`);
});

test("chart, Makefile and overlay name one version", () => {
  const version = fs.readFileSync(path.join(ROOT, "Makefile"), "utf8").match(/^VERSION := (.*)$/m)[1];
  const meta = yaml.load(fs.readFileSync(path.join(CHART, "Chart.yaml"), "utf8"));
  assert.deepEqual([meta.version, meta.appVersion], [version, version]);
  for (const dir of OVERLAYS) {
    const [image] = yaml.load(fs.readFileSync(path.join(ROOT, "conf/kubernetes", dir, "kustomization.yaml"), "utf8")).images;
    assert.deepEqual(image, { name: "moongate", newName: "moongate", newTag: version }, dir);
    assert.equal(pod(kustomize(dir)).containers[0].image, `moongate:${version}`);
  }
  assert.equal(pod(guideOverlay()).containers[0].image, `registry.example.com/moongate:${version}`);
});

// ---- the guide ----

const GUIDE = fs.readFileSync(path.join(ROOT, "docs/kubernetes.md"), "utf8");

test("the guide names what is there", () => {
  const paths = new Set(GUIDE.match(/(?:conf\/(?:kubernetes|image)|overlays|components|examples)\/[\w./-]*\w/g));
  assert.ok(paths.size > 6);
  for (const name of paths) {
    const places = [ROOT, path.join(ROOT, "conf/kubernetes")].map((dir) => path.join(dir, name));
    assert.ok(name.endsWith("/mine") || places.some((file) => fs.existsSync(file)), name);
  }
});

// The overlay that the guide has its reader write, beside a copy of the base.
function guideOverlay() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "moongate-guide-"));
  fs.cpSync(path.join(ROOT, "conf/kubernetes/base"), path.join(dir, "base"), { recursive: true });
  fs.mkdirSync(path.join(dir, "mine"));
  let count = 0;
  for (const [, name, text] of GUIDE.matchAll(/^`(mine\/[\w.]+)`\n\n```\w+\n(.*?)^```$/gms)) {
    fs.writeFileSync(path.join(dir, name), text);
    count++;
  }
  assert.equal(count, 4);
  const objects = kustomize(path.join(dir, "mine"));
  fs.rmSync(dir, { recursive: true });
  return objects;
}

test("the guide's overlay renders valid objects and serves", () => {
  const objects = guideOverlay();
  assert.deepEqual(problems(objects), []);
  return serve(objects, { openai: { "api-key": "Bearer k" } }, async (proxy) => {
    const answer = await fetch(`${proxy}/ai/chat`, { method: "POST", body: "not JSON", headers: { "content-type": "application/json" } });
    assert.deepEqual([answer.status, answer.headers.get("x-hello")], [400, "from a ConfigMap"]);
  });
});

// ---- what the objects configure is served ----

const freePort = () => new Promise((resolve) => {
  const server = net.createServer();
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

// Files of the projected volume, as the kubelet lays them out.
function writeVolume(dir, objects, others = {}) {
  const version = path.join(dir, "..2026_01_01_00_00_00.1");
  fs.mkdirSync(version, { recursive: true });
  for (const source of pod(objects).volumes.find((v) => v.name === "live").projected.sources) {
    const { name, items } = source.configMap ?? source.secret;
    const data = others[name] ?? find(objects, "ConfigMap", name).data;
    for (const { key, path: to } of items ?? Object.keys(data).map((key) => ({ key, path: key }))) {
      fs.mkdirSync(path.dirname(path.join(version, to)), { recursive: true });
      fs.writeFileSync(path.join(version, to), data[key]);
    }
  }
  fs.symlinkSync(path.basename(version), path.join(dir, "..data"));
  for (const top of fs.readdirSync(version)) fs.symlinkSync(`..data/${top}`, path.join(dir, top));
}

async function until(what, fn) {
  const end = Date.now() + 10000 * SLOW;
  for (;;) {
    const value = await Promise.resolve().then(fn).catch(() => null);
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within its time: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// The Deployment's container, with its environment; addresses and paths of this machine.
async function serve(objects, others, fn) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "moongate-kube-"));
  const [port, status] = [await freePort(), await freePort()];
  writeVolume(path.join(dir, "live"), objects, others);
  const child = spawn(BIN, pod(objects).containers[0].args, {
    env: {
      ...env(objects), PATH: process.env.PATH, MOONGATE_PREFIX: path.join(dir, "run"), MOONGATE_CONFIG_PATHS: path.join(dir, "live"),
      MOONGATE_VAULT_FILE_PREFIX: path.join(dir, "live/secrets"), MOONGATE_PROXY_LISTEN: `127.0.0.1:${port}`,
      MOONGATE_STATUS_LISTEN: `127.0.0.1:${status}`, MOONGATE_DRAIN_DELAY: "0",
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (bytes) => (log += bytes));
  const ended = new Promise((resolve) => child.on("exit", resolve));
  try {
    const probe = pod(objects).containers[0].readinessProbe.httpGet.path;
    await until(() => log, async () => (await fetch(`http://127.0.0.1:${status}${probe}`)).status === 200);
    await fn(`http://127.0.0.1:${port}`, `http://127.0.0.1:${status}`);
    child.kill("SIGTERM");
    assert.equal(await ended, 0, log);
  } finally {
    child.kill("SIGKILL");
    fs.rmSync(dir, { recursive: true });
  }
}

test("the overlay's gateway streams an answer", () => serve(kustomize("overlays/hot"), {}, async (proxy, status) => {
  const ask = (headers) => fetch(`${proxy}/ai/chat`, {
    method: "POST", headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "mock-model", stream: true, messages: [{ role: "user", content: "Hello" }] }),
  });
  assert.equal((await ask({})).status, 401);
  const answer = await ask({ apikey: "alice-secret" });
  assert.equal(answer.status, 200);
  const text = await answer.text();
  assert.match(text, /data: .*"delta"/);
  assert.match(text, /data: \[DONE\]/);
  assert.equal((await fetch(`${status}/status`)).status, 200);
}));

test("the chart's gateway runs a plugin of a ConfigMap with a secret of a Secret", () => {
  const config = `
_format_version: "3.0"
services:
- name: s
  url: http://127.0.0.1:9
  routes: [{name: r, paths: [/], plugins: [{name: hello, config: {word: "{vault://file/openai/api-key}"}}]}]
`;
  const handler = 'return { PRIORITY = 1, VERSION = "1.0.0", access = function(_, conf) kong.response.exit(200, conf.word) end }';
  const schema = 'return { name = "hello", fields = { { config = { type = "record", fields = { { word = { type = "string", referenceable = true } } } } } } }';
  const values = { dblessConfig: { config }, plugins: { configMaps: [{ pluginName: "hello", name: "p" }] }, secrets: [{ name: "openai", keys: ["api-key"] }] };
  return serve(chart(values), { p: { "handler.lua": handler, "schema.lua": schema }, openai: { "api-key": "the-key" } }, async (proxy) => {
    assert.equal(await (await fetch(`${proxy}/`)).text(), "the-key");
  });
});

test("the chart's default configuration is valid", () => serve(chart(), {}, async (proxy) => {
  assert.equal((await fetch(`${proxy}/`)).status, 404);
}));

let failed = 0;
for (const [name, fn] of tests) {
  try {
    await fn();
  } catch (error) {
    failed++;
    console.log(`kube: FAILED: ${name}\n${error.stack}`);
  }
}
console.log(`kube: ${tests.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
