// Asks for a prediction: with a deadline, as a tenant or with its token, and again where that makes sense.
"use strict";
const fs = require("fs");
const path = require("path");
const { parseArgs } = require("util");
const { setTimeout: sleep } = require("timers/promises");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");
const protobuf = require("protobufjs");

const ROOT = path.join(__dirname, "..", "..");
const OPTIONS = { keepCase: true, longs: Number, oneofs: true, defaults: true, includeDirs: [ROOT] };
const { PredictionService } = grpc.loadPackageDefinition(
  loader.loadSync("protos/prediction/v1/prediction.proto", OPTIONS)
).croupier.prediction.v1;
const details = protobuf.loadSync(path.join(ROOT, "protos/status/v1/status.proto")).lookup("croupier.status.v1");

const WINE = [14.23, 1.71, 2.43, 15.6, 127, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065];

// Why there is no prediction, and when trying again makes sense.
class Refusal extends Error {
  constructor(code, reason, message, retryAfterMs) {
    super(`${grpc.status[code]} ${reason}: ${message}`);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  // Of a call that failed as a whole; the details in its trailers are google.rpc.Status.
  static ofCall(error) {
    let reason = "";
    let retryAfterMs = 0;
    const [packed] = error.metadata ? error.metadata.get("grpc-status-details-bin") : [];
    for (const detail of packed ? details.Status.decode(packed).details : []) {
      if (detail.type_url.endsWith("google.rpc.ErrorInfo")) {
        reason = details.ErrorInfo.decode(detail.value).reason;
      } else if (detail.type_url.endsWith("google.rpc.RetryInfo")) {
        const delay = details.RetryInfo.decode(detail.value).retryDelay;
        retryAfterMs = Number(delay.seconds) * 1000 + delay.nanos / 1e6;
      }
    }
    return new Refusal(error.code, reason, error.details, retryAfterMs);
  }
}

// Asks for one item. The call may go well and the item not: then the item has a status.
async function once(router, who, item, deadline) {
  const response = await new Promise((resolve, reject) =>
    router.Predict({ items: [item] }, who, { deadline }, (error, answer) =>
      error ? reject(Refusal.ofCall(error)) : resolve(answer)
    )
  );
  const [result] = response.results;
  if (result.outcome === "status") {
    const { code, reason, message, retry_after_ms } = result.status;
    throw new Refusal(code, reason, message, retry_after_ms);
  }
  return result;
}

// Tries three times until the deadline. Only UNAVAILABLE says that the same request may succeed later.
async function predict(router, who, item, deadline) {
  for (let backoffMs = 50; ; backoffMs *= 2) {
    try {
      return await once(router, who, item, deadline);
    } catch (refusal) {
      const wait = Math.random() * backoffMs + refusal.retryAfterMs;
      if (refusal.code !== grpc.status.UNAVAILABLE || backoffMs > 100 || Date.now() + wait >= deadline) {
        throw refusal;
      }
      await sleep(wait);
    }
  }
}

function show(result) {
  for (const output of result.value.outputs) {
    console.log(output.name, output[output.values].values.join(" "));
  }
}

async function main() {
  const { values: told } = parseArgs({
    options: {
      router: { type: "string", default: "127.0.0.1:8500" },
      tenant: { type: "string", default: "acme" },
      token: { type: "string" },
      ca: { type: "string" },
      timeout: { type: "string", default: "2" },
    },
  });
  const security = told.ca
    ? grpc.credentials.createSsl(fs.readFileSync(told.ca))
    : grpc.credentials.createInsecure();
  // One client for the whole program: it carries any number of calls at once.
  const router = new PredictionService(told.router, security);
  const who = new grpc.Metadata();
  if (told.token) {
    who.set("authorization", `Bearer ${told.token}`);
  } else {
    who.set("croupier-tenant", told.tenant);
  }
  const deadline = () => Date.now() + 1000 * Number(told.timeout);
  const item = { model: "wine", row: { values: WINE } };
  try {
    show(await predict(router, who, item, deadline()));
    await predict(router, who, { ...item, version: 99 }, deadline()).then(show, (refusal) =>
      console.log(`as expected: ${refusal.message}`)
    );
  } finally {
    router.close();
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
