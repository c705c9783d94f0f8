// Signs the cases with the JavaScript SDK: `node sdk_urls.mjs <cases.jsonl >urls.jsonl`, a line {"url", "canonical"} each.
//
// Two settings make it sign what we sign: WHEN_REQUIRED, or it adds the CRC of an empty body to a PUT and `x-amz-checksum-mode`
// to a GET; and the header fields that the client must send are named, or it leaves some of them unsigned and moves
// others into the query. Metadata goes into the query by itself.
import { createInterface } from "node:readline";
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { SignatureV4 } from "@smithy/signature-v4";

const PARAMETERS = {
  "content-length": ["ContentLength", Number],
  "content-type": ["ContentType", String],
  "if-none-match": ["IfNoneMatch", String],
  "x-amz-checksum-sha256": ["ChecksumSHA256", String],
};

let canonical;
for (const prototype of [SignatureV4.prototype, Object.getPrototypeOf(SignatureV4.prototype)]) {
  if (!Object.hasOwn(prototype, "createCanonicalRequest")) continue;
  const original = prototype.createCanonicalRequest;
  prototype.createCanonicalRequest = function (...what) {
    return (canonical = original.apply(this, what));
  };
}

const clients = new Map();
function client(c) {
  const name = JSON.stringify([c.native, c.endpoint, c.region, c.virtual_hosted, c.access_key_id, c.secret_access_key, c.session_token]);
  if (!clients.has(name)) {
    if (clients.size > 200) clients.clear();
    clients.set(name, new S3Client({
      region: c.region,
      endpoint: c.native ? undefined : c.endpoint,
      forcePathStyle: !c.virtual_hosted,
      credentials: { accessKeyId: c.access_key_id, secretAccessKey: c.secret_access_key, sessionToken: c.session_token ?? undefined },
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    }));
  }
  return clients.get(name);
}

async function url(c) {
  const input = { Bucket: c.bucket, Key: c.key };
  for (const [name, value] of c.headers) {
    const [parameter, read] = PARAMETERS[name];
    input[parameter] = read(value);
  }
  if (c.method === "PUT") input.Metadata = Object.fromEntries(c.metadata);
  if (c.content_disposition !== null) input.ResponseContentDisposition = c.content_disposition;
  if (c.content_type !== null) input.ResponseContentType = c.content_type;
  const command = c.method === "PUT" ? new PutObjectCommand(input) : new GetObjectCommand(input);
  const names = new Set(c.headers.map(([name]) => name));
  return getSignedUrl(client(c), command, {
    expiresIn: c.expires,
    signingDate: new Date(c.time * 1000),
    signableHeaders: new Set([...names, "host"]),
    unhoistableHeaders: names,
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  const made = await url(JSON.parse(line));
  console.log(JSON.stringify({ url: made, canonical }));
}
