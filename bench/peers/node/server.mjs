// What most teams write: Fastify, a JWT check, the AWS SDK's presigner, and one INSERT a request; a process for each core.
//
// DATABASE_URL, JWT_SECRET and LISTEN (127.0.0.1:0 where left out) from the environment; its first line is its address.
// No request log, and no limit. The table is plain, with no index but its primary key.

import cluster from "node:cluster";
import { randomUUID } from "node:crypto";
import { availableParallelism } from "node:os";

import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import jwt from "@fastify/jwt";
import Fastify from "fastify";
import pg from "pg";

const WORKERS = availableParallelism();
// pg's usual ten, unless all processes together would want more connections than Postgres has.
const POOL = Math.max(1, Math.min(10, Math.floor(80 / WORKERS)));
const TABLE = `CREATE TABLE IF NOT EXISTS uploads (
  id uuid PRIMARY KEY, object_key text NOT NULL, ext text NOT NULL, kind text, width int, height int,
  subject text NOT NULL, issued_at timestamptz NOT NULL DEFAULT now())`;
const INSERT = {
  name: "insert-upload",
  text: "INSERT INTO uploads (id, object_key, ext, kind, width, height, subject) VALUES ($1, $2, $3, $4, $5, $6, $7)",
};
const QUERY = {
  type: "object",
  required: ["ext"],
  properties: {
    ext: { enum: ["jpg", "jpeg", "png", "webp", "gif", "mp4", "webm"] },
    type: { enum: ["thumb", "origin", "video"] },
    width: { type: "integer", minimum: 1 },
    height: { type: "integer", minimum: 1 },
  },
};
const ANSWER = {
  type: "object",
  properties: {
    code: { type: "integer" },
    msg: { type: "string" },
    data: { type: "object", properties: { url: { type: "string" }, key: { type: "string" } } },
  },
};

async function first() {
  const client = new pg.Client(process.env.DATABASE_URL);
  await client.connect();
  await client.query(TABLE);
  await client.end();
  let listening = 0;
  cluster.on("listening", (_, { address, port }) => {
    listening += 1;
    if (listening === WORKERS) console.log(`${address}:${port}`);
  });
  cluster.on("exit", () => process.exit(1));
  for (let worker = 0; worker < WORKERS; worker += 1) cluster.fork();
}

async function serve() {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: POOL });
  const s3 = new S3Client({
    region: "auto",
    endpoint: "http://127.0.0.1:9000",
    forcePathStyle: true,
    // Else it signs the checksum of an empty body.
    requestChecksumCalculation: "WHEN_REQUIRED",
    credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" },
  });
  const app = Fastify();
  app.register(jwt, {
    secret: process.env.JWT_SECRET,
    verify: { algorithms: ["HS256"], allowedIss: "bench-hs256", allowedAud: "uploads" },
  });
  app.get(
    "/oss/presign",
    { schema: { querystring: QUERY, response: { 200: ANSWER } }, onRequest: (request) => request.jwtVerify() },
    async (request) => {
      const { ext, type, width, height } = request.query;
      const id = randomUUID();
      const key = `${new Date().toISOString().slice(0, 10).replaceAll("-", "/")}/${id}.${ext}`;
      const metadata = { type, width, height };
      const command = new PutObjectCommand({
        Bucket: "alpha-uploads",
        Key: key,
        Metadata: Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== undefined).map(([name, value]) => [name, String(value)])),
      });
      const url = await getSignedUrl(s3, command, { expiresIn: 3600 });
      await pool.query({ ...INSERT, values: [id, key, ext, type, width, height, request.user.sub] });
      return { code: 0, msg: "success", data: { url, key } };
    },
  );
  const [host, port] = (process.env.LISTEN ?? "127.0.0.1:0").split(":");
  await app.listen({ host, port: Number(port) });
}

await (cluster.isPrimary ? first() : serve());
