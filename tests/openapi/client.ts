// Uploads one file and reads a tenant with the clients that openapi-fetch makes of the generated types.
import createClient from "openapi-fetch";
import type * as ops from "./admin-openapi.js";
import type * as app from "./openapi.js";

declare const process: { env: Record<string, string | undefined> };

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

/** The data of an answer; an error's message otherwise. */
function data<T>(answer: { data?: { data: T }; error?: app.Error | ops.Error }): T {
  if (answer.data === undefined) throw new Error(answer.error?.msg ?? "no answer");
  return answer.data.data;
}

function check(is: boolean, what: string): void {
  if (!is) throw new Error(what);
}

const client = (name: string) => ({ headers: { authorization: `Bearer ${setting(name)}` } });
const apps = createClient<app.paths>({ baseUrl: setting("PRESIGN_URL"), ...client("PRESIGN_API_KEY") });
const operators = createClient<ops.paths>({ baseUrl: setting("PRESIGN_OPS_URL"), ...client("PRESIGN_OPERATOR_KEY") });

const wanted: app.UploadCreate = { ext: "png" };
const issued: app.IssuedUpload = data(await apps.POST("/v1/uploads", { body: wanted }));
const put = await fetch(issued.url, { method: issued.method, headers: issued.headers, body: "bytes" });
check(put.ok, `the PUT was answered with ${put.status}`);
const params = { path: { id: issued.id } };
const upload: app.Upload = data(await apps.POST("/v1/uploads/{id}/complete", { params }));
check(upload.state === "uploaded", `the upload is ${upload.state}`);

const presigned = data(await apps.GET("/oss/presign", { params: { query: { ext: "jpg", type: "origin" } } }));
const bare = await fetch(presigned.url, { method: "PUT", body: "bytes" });
check(bare.ok, `the bare PUT was answered with ${bare.status}`);

const page: ops.PageTenant = data(await operators.GET("/admin/v1/tenants", { params: { query: { limit: 1 } } }));
const [tenant] = page.items;
check(tenant?.status === "active", "there is no active tenant");
console.log(`TypeScript: uploaded ${upload.key}, read tenant ${tenant?.slug}`);
