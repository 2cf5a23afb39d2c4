// Node-RED's settings: no editor, no log of requests; on loopback.

const fs = require("fs");
const path = require("path");

const folder = process.env.BENCH_FOLDER;
fs.writeFileSync(path.join(folder, "flows.json"), JSON.stringify(require("./flow.js")));

module.exports = {
    userDir: folder,
    flowFile: "flows.json",
    uiHost: "127.0.0.1",
    uiPort: Number(process.env.BENCH_PORT),
    httpAdminRoot: false,
    functionGlobalContext: { crypto: require("crypto") },
    diagnostics: { enabled: false },
    telemetry: { enabled: false },
    logging: { console: { level: "warn", metrics: false, audit: false } },
};
