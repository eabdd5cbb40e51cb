// Sends the mails of the job named on the command line through nodemailer's pool; prints what it spent as JSON.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const job = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const nodemailer = require(require.resolve("nodemailer", { paths: [job.modules] }));

const NAMES = ["Anna", "Bashir", "Chloé", "Dmitri", "Emeka", "Freya", "Zoë"];

const transport = nodemailer.createTransport({
  pool: true,
  maxConnections: job.connections,
  maxMessages: Infinity,
  host: "127.0.0.1",
  port: job.port,
  secure: false,
  ignoreTLS: true,
});

const fill = (words, name, number) => words.replaceAll("{name}", name).replaceAll("{number}", number);

async function main() {
  const started = process.hrtime.bigint();
  const before = process.cpuUsage();
  let next = 0;
  // As its documentation says: a new message as soon as the pool is idle, so that memory stays where it is.
  await new Promise((resolve, reject) => {
    let done = 0;
    const feed = () => {
      while (transport.isIdle() && next < job.count) {
        const number = String(next++);
        const name = `${NAMES[number % NAMES.length]} Person${number}`;
        transport
          .sendMail({
            from: `Bluegrass Fiber <${job.sender}>`,
            to: { name, address: `c${number}@customers.example` },
            subject: job.subject,
            text: fill(job.text, name, number),
            html: fill(job.html, name, number),
          })
          .then(() => {
            done += 1;
            if (done === job.count) resolve();
          }, reject);
      }
    };
    transport.on("idle", feed);
    feed();
  });
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  const used = process.cpuUsage(before);
  transport.close();
  console.log(JSON.stringify({ seconds, cpu_seconds: (used.user + used.system) / 1e6 }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
