"use strict";
// Loaded into the server of NNI 3.0 before its own code (node --require). What is worked around, and why:
// - The server listens on every interface, without a login: it gets 127.0.0.1 here, whatever it asks for.
// - It reads any file of the user (trial-file), shows logs, fetches https://netron.app, starts TensorBoard, and takes
//   parameters that are unpickled: only what the page reads is answered here, and only by GET.
// - It does not look at the Host header, so that a page elsewhere could read it by a name that points to 127.0.0.1.
// - It sets up a training service even to view: there is none here, so that no file and no process is ever asked for.
// - It reads the experiment once: here it is read again, so that the page follows a run that goes on.
// - It outlives the process that started it: here it ends with its standard input.
// - The page contacts a CDN, and goes blank when a new trial's results arrive before the trial: see page.js.

const crypto = require("crypto");
const http = require("http");
const Module = require("module");
const net = require("net");

const { POLICY, repaired } = require("./page.js");

const ADDRESS = "127.0.0.1";
const START = "/api/v1/nni/experiment";
const SETTLING = 25000; // milliseconds; the page asks every 10 seconds
const REFUSAL = JSON.stringify({ error: "nasengine ui shows a run; it answers nothing but what the page reads" });
const READABLE = [
  /^\/(?:oview|detail|experiment|index\.html)?$/,
  /^\/static\/(?:js|css|media)\/[\w.~-]+$/,
  /^\/icons\/[\w.-]+$/,
  /^\/[\w-]+\.(?:png|svg|gif|ico)$/,
  /^\/(?:manifest\.json|editor\.worker\.js|json\.worker\.js)$/,
  /^\/api\/v1\/nni\/(?:version|check-status|experiment|experiment-metadata|experiments-info|job-statistics)$/,
  /^\/api\/v1\/nni\/(?:trial-jobs|metric-data)(?:\/[\w-]+)?$/,
  /^\/api\/v1\/nni\/(?:metric-data-latest\/?|metric-data-range\/\d+\/\d+|export-data|tensorboard-tasks)$/,
];

const secret = Buffer.from(process.env.NASENGINE_SECRET || "");
delete process.env.NASENGINE_SECRET;
if (secret.length < 32) {
  throw new Error("guard.js: expected NASENGINE_SECRET of at least 32 bytes; it is started by nasengine ui");
}

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (first, ...others) {
  const port = typeof first === "object" && first !== null ? first.port : first;
  if (!Number.isInteger(port)) {
    throw new Error("guard.js: expected a port to listen on");
  }
  const callback = others.find((value) => typeof value === "function");
  return listen.call(this, { port, host: ADDRESS, exclusive: true }, callback);
};

function isLocal(request) {
  const host = (request.headers.host || "").replace(/:\d+$/, "").toLowerCase();
  return request.socket.localAddress === ADDRESS && (host === ADDRESS || host === "localhost");
}

function holdsSecret(request) {
  const given = Buffer.from(String(request.headers["x-nasengine-secret"] || ""));
  return given.length === secret.length && crypto.timingSafeEqual(given, secret);
}

function placeOf(request) {
  return request.url.split("?", 1)[0];
}

function isWelcome(request) {
  if (request.method === "POST") {
    return request.url === START && holdsSecret(request);
  }
  return isReading(request) && READABLE.some((known) => known.test(placeOf(request)));
}

function isReading(request) {
  return request.method === "GET" || request.method === "HEAD";
}

function answer(response, status, kind, text) {
  response.writeHead(status, { "Content-Type": kind, "Content-Length": Buffer.byteLength(text), Connection: "close" });
  response.end(text);
  return true;
}

const emit = http.Server.prototype.emit;
http.Server.prototype.emit = function (event, ...values) {
  if (event === "upgrade" || event === "connect") {
    values[1].destroy();
    return true;
  }
  if (event !== "request") {
    return emit.call(this, event, ...values);
  }
  const [request, response] = values;
  response.setHeader("Content-Security-Policy", POLICY);
  response.setHeader("X-Content-Type-Options", "nosniff");
  response.setHeader("Referrer-Policy", "no-referrer");
  response.setHeader("X-NasEngine-Guard", "on");
  if (isLocal(request) && isWelcome(request)) {
    const own = isReading(request) ? repaired(placeOf(request)) : undefined;
    return own === undefined ? emit.call(this, event, ...values) : answer(response, 200, ...own);
  }
  request.resume();
  return answer(response, 403, "application/json", REFUSAL);
};

class NoTrainingService {
  async listTrialJobs() {
    return [];
  }
  async cleanUp() {}
  removeTrialJobMetricListener() {}
}

function follow(manager) {
  let endSeen; // the page stops asking when it hears of the end, and has not drawn all by then: it hears of it later
  manager.getExperimentProfile = async function () {
    const known = await this.dataStore.getExperimentProfile(this.experimentProfile.id);
    if (known !== undefined && this.readonly) {
      if (known.endTime === undefined) {
        endSeen = undefined;
      } else if (endSeen === undefined) {
        endSeen = this.experimentProfile.endTime === undefined ? Date.now() : 0;
      }
      this.experimentProfile = known;
      this.setStatus(endSeen !== undefined && Date.now() - endSeen >= SETTLING ? "VIEWED" : "RUNNING");
    }
    return this.experimentProfile;
  };
}

const followed = new WeakSet();
const load = Module._load;
Module._load = function (request, ...others) {
  if (request.endsWith("training_service/v3/compat")) {
    return { V3asV1: NoTrainingService };
  }
  const found = load.call(this, request, ...others);
  const manager = typeof found === "object" && found !== null && request.endsWith("core/nnimanager") && found.NNIManager;
  if (manager && !followed.has(manager)) {
    followed.add(manager);
    follow(manager.prototype);
  }
  return found;
};

process.stdin.on("end", () => process.exit(0));
process.stdin.on("error", () => process.exit(0));
process.stdin.resume();
