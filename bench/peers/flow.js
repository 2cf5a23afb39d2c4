// Node-RED's flow: take a webhook, verify its signature over the raw body, append it to a file, answer.

const verify = `
const crypto = global.get("crypto");
const expected = "sha256=" + crypto.createHmac("sha256", env.get("BENCH_SECRET")).update(msg.payload).digest("hex");
const given = msg.req.headers["x-creativeai-signature"] || "";
const genuine = given.length === expected.length
    && crypto.timingSafeEqual(Buffer.from(given), Buffer.from(expected));
msg.statusCode = genuine ? 202 : 401;
msg.payload = msg.payload.toString();
return genuine ? [msg, null] : [null, msg];
`;

const place = { z: "flow", x: 0, y: 0 };

module.exports = [
    { id: "flow", type: "tab", label: "webhooks" },
    {
        ...place, id: "in", type: "http in", name: "", url: "/webhooks/creativeai", method: "post", upload: false,
        skipBodyParsing: true, wires: [["verify"]],
    },
    { ...place, id: "verify", type: "function", name: "verify", func: verify, outputs: 2, libs: [],
        wires: [["append"], ["answer"]] },
    {
        ...place, id: "append", type: "file", name: "", filename: process.env.BENCH_FILE, filenameType: "str",
        appendNewline: true, createDir: false, overwriteFile: "false", encoding: "none", wires: [["answer"]],
    },
    { ...place, id: "answer", type: "http response", name: "", statusCode: "", headers: {}, wires: [] },
];
