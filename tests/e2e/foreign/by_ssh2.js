// What a program with npm's ssh2 does: both hops, a command, a file each way.
//
//     node by_ssh2.js MODULES PORT NAME KEY LOGIN HOST FINGERPRINT COMMAND|- DOWN|- UP|-
"use strict";

const { createHash } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { dirname, join } = require("node:path");

const [modules, port, name, key, login, host, fingerprint, command, down, up] =
  process.argv.slice(2);
const { Client } = require(join(modules, "ssh2"));
const privateKey = readFileSync(key);

function failed(error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(99);
}

// FINGERPRINT is as `ssh-keygen -l` says it: SHA256:… without padding.
function hostVerifier(blob) {
  const seen = createHash("sha256").update(blob).digest("base64").replace(/=+$/, "");
  return `SHA256:${seen}` === fingerprint;
}

function run(inner) {
  inner.exec(command, (error, stream) => {
    if (error) failed(error);
    stream.pipe(process.stdout);
    stream.stderr.pipe(process.stderr);
    stream.on("close", (status) => process.exit(status));
  });
}

function move(inner) {
  const here = dirname(key);
  inner.sftp((error, sftp) => {
    if (error) failed(error);
    sftp.fastGet(down, join(here, "down"), (missed) => {
      if (missed) failed(missed);
      sftp.fastPut(join(here, "up"), up, (lost) => (lost ? failed(lost) : process.exit(0)));
    });
  });
}

const outer = new Client();
outer.on("error", failed).on("ready", () => {
  outer.forwardOut("127.0.0.1", 0, host, 22, (error, sock) => {
    if (error) failed(error);
    const inner = new Client();
    inner.on("error", failed).on("ready", () => (command === "-" ? move(inner) : run(inner)));
    inner.connect({ sock, username: login, privateKey, hostVerifier });
  });
});
outer.connect({ host: "127.0.0.1", port: Number(port), username: name, privateKey, hostVerifier });
