"use strict";
// Loaded into the server of NNI 3.0 before its own code, for experiments that run (node --require). guard.js, which
// this file loads, holds for them as well: 127.0.0.1 alone, a page that reads and changes nothing. Beyond that:
// - Trials and the tuner speak to the server through the same port: they are let in by the secret that they were
//   started with, and nobody else is.
// - The server gives parameters to whichever trial asks first, so that with several trials at a time the database says
//   other parameters than the trial had: here a trial has its name, and so its parameters, before it starts.
// - It marks a trial as stopped early after it has ended it, so that it shows as cancelled by the user: here before.
// - It takes trials that a signal has ended for cancelled by the user: here they have failed.
// - It numbers trials from 1 again when it goes on: here numbers are those of the tuner.
// - It gives the tuner ten seconds to start, which a busy machine exceeds: here two minutes.
// - It notices half a minute late that its tuner has ended, and goes on without: here it ends at once.
// - Its trials and tuner outlive it: here the whole process group ends with the process that started it.

const crypto = require("crypto");
const http = require("http");
const Module = require("module");

const TUNER_MILLISECONDS = 120000;
const TUNER_ENDED = 7; // exit code, known to live.py
const secret = Buffer.from(process.env.NASENGINE_SECRET || "");

process.stdin.on("end", endAll);
process.stdin.on("error", endAll);

function endAll() {
  process.kill(-process.pid, "SIGKILL"); // we lead the group
}

const emit = http.Server.prototype.emit;
const load = Module._load;
require("./guard.js");
const guardedEmit = http.Server.prototype.emit;
const guardedLoad = Module._load;
process.env.NASENGINE_SECRET = secret.toString(); // trials and the tuner inherit it

function isSecret(text) {
  const given = Buffer.from(String(text || ""));
  return given.length === secret.length && crypto.timingSafeEqual(given, secret);
}

function isOurs(event, request) {
  if (request.socket.localAddress !== "127.0.0.1") {
    return false;
  }
  if (event === "upgrade") {
    return request.url.startsWith("/tuner?secret=") && isSecret(request.url.slice("/tuner?secret=".length));
  }
  return event === "request" && request.url.startsWith("/env/") && isSecret(request.headers["x-nasengine-secret"]);
}

http.Server.prototype.emit = function (event, ...values) {
  if ((event === "upgrade" || event === "request") && isOurs(event, values[0])) {
    if (event === "request") {
      values[1].setHeader("X-NasEngine-Guard", "on");
    }
    return emit.call(this, event, ...values);
  }
  return guardedEmit.call(this, event, ...values);
};

function withPairs(service) {
  const { submitTrialJob, cancelTrialJob, start } = service.prototype;
  service.prototype.submitTrialJob = async function (form) {
    await this.startDeferred.promise;
    const number = JSON.parse(form.hyperParameters.value).parameter_id;
    form.id = `trial-${number}`;
    form.sequenceId = number;
    form.envId = this.schedule();
    if (form.envId === null) {
      throw new Error("live.js: expected a place to run trials in");
    }
    return submitTrialJob.call(this, form);
  };
  service.prototype.cancelTrialJob = async function (id, isEarlyStopped) {
    const trial = this.trialJobs[id];
    if (trial === undefined || trial.endTime !== undefined) {
      return; // it has ended in the meantime
    }
    trial.isEarlyStopped = Boolean(isEarlyStopped);
    await cancelTrialJob.call(this, id, isEarlyStopped);
  };
  service.prototype.start = async function () {
    const onTrialEnd = this.v3.onTrialEnd.bind(this.v3);
    this.v3.onTrialEnd = (callback) =>
      onTrialEnd(async (id, time, code) => {
        const wasStopped = this.trialJobs[id] !== undefined && this.trialJobs[id].isEarlyStopped;
        await callback(id, time, wasStopped && code !== 0 ? null : code === null ? 1 : code);
      });
    await start.call(this);
  };
}

function withPatience(server) {
  server.init = function () {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("the tuner did not connect in time")), TUNER_MILLISECONDS);
    });
    return Promise.race([this.connect.promise, late]).finally(() => clearTimeout(timer));
  };
}

function withEnd(utilities) {
  const { getTunerProc } = utilities;
  utilities.getTunerProc = function (...values) {
    const tuner = getTunerProc.apply(this, values);
    tuner.on("exit", () => process.exit(TUNER_ENDED));
    return tuner;
  };
}

const changed = new WeakSet();
Module._load = function (request, ...others) {
  const isService = request.endsWith("training_service/v3/compat");
  const found = (isService ? load : guardedLoad).call(this, request, ...others);
  if (isService && !changed.has(found)) {
    changed.add(found);
    withPairs(found.V3asV1);
  }
  if (request.endsWith("common/utils") && found.getTunerProc && !changed.has(found)) {
    changed.add(found);
    withEnd(found);
  }
  if (request.endsWith("tuner_command_channel") && !changed.has(found)) {
    changed.add(found);
    withPatience(found.getTunerServer());
  }
  return found;
};
