"""Runs Schemathesis against both documents of a `dev` of its own; see `run`."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
PORTS = [word for name in ("listen", "ops-listen", "s3-listen") for word in (f"--{name}", "127.0.0.1:0")]
START_SECONDS, STOP_SECONDS, RUN_SECONDS = 120, 30, 3000
# From so many examples on, every phase is run without a credential too.
LONG = 20
# A machine that is slow just now is no finding, nor is one that is so fast that its strangers are too many.
PATIENT = {
    "PRESIGN__AUTH__FAILURES_PER_SECOND": "1000000",
    "PRESIGN__AUTH__FAILURES_BURST": "1000000",
    "PRESIGN__DATABASE__ACQUIRE_TIMEOUT_MS": "20000",
    "PRESIGN__DATABASE__READ_TIMEOUT_MS": "20000",
    "PRESIGN__UPLOADS__COMMIT_TIMEOUT_MS": "20000",
    "PRESIGN__SERVER__REQUEST_TIMEOUT_SECONDS": "30",
}


def start(binary, folder):
    """Starts `dev` on free ports; gives the process and what `dev.env` says."""
    log = open(folder / "log", "wb")
    command = [binary, "dev", *PORTS, "--data-dir", str(folder / "data")]
    dev = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=folder, env=os.environ | PATIENT, text=True)
    # One that says nothing at all is ended, too.
    patience = threading.Timer(START_SECONDS, dev.kill)
    patience.start()
    for line in dev.stdout:
        if "Ctrl-C stops everything" in line:
            patience.cancel()
            lines = (folder / "data/dev.env").read_text().splitlines()
            return dev, dict(line.split("=", 1) for line in lines)
    patience.cancel()
    stop(dev)
    sys.exit("dev did not start:\n" + (folder / "log").read_text())


def stop(dev):
    if dev.poll() is None:
        dev.send_signal(signal.SIGTERM)
        try:
            dev.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            dev.kill()


def call(method, url, api_key, body=None):
    headers = {"authorization": f"Bearer {api_key}", "content-type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=30) as answer:
        return json.load(answer)["data"]


def playground(env):
    """Makes the rows that hooks.py plays with, and gives their names. The run's own tenant and keys are not among them."""
    public, operator = env["PRESIGN_URL"], env["PRESIGN_OPERATOR_KEY"]
    admin = env["PRESIGN_OPS_URL"] + "/admin/v1"
    rows = {"tenant": [], "alias": ["default", "second"], "public_id": [], "issuer": [], "id": [], "bucket": ["default"]}
    for number in range(3):
        slug = f"play-{number}"
        call("POST", f"{admin}/tenants", operator, {"slug": slug})
        for alias in rows["alias"]:
            bucket = {
                "alias": alias, "endpoint": env["AWS_ENDPOINT_URL_S3"], "region": env["AWS_DEFAULT_REGION"], "bucket": env["BUCKET"],
                "access_key_id": env["AWS_ACCESS_KEY_ID"], "secret_access_key": env["AWS_SECRET_ACCESS_KEY"],
            }
            call("POST", f"{admin}/tenants/{slug}/buckets", operator, bucket)
        issuer = {"issuer": f"https://{slug}.example", "audience": "x", "algorithm": "HS256", "hmac_secret": "made-up " * 8}
        rows["issuer"].append(call("POST", f"{admin}/tenants/{slug}/jwt-issuers", operator, issuer)["id"])
        api_key = {"tenant": slug, "label": "to play with"}
        rows["public_id"].append(call("POST", f"{admin}/api-keys", operator, api_key)["public_id"])
        rows["tenant"].append(slug)
    # Uploads that have arrived, that have not, and one that is deleted. The last want a scope that the demo's key has not.
    scopes = ["uploads:issue", "uploads:read", "uploads:delete"]
    body = {"tenant": "alpha", "label": "schemathesis", "scopes": scopes}
    api_key = call("POST", f"{admin}/api-keys", operator, body)["api_key"]
    for number in range(9):
        issued = call("POST", f"{public}/v1/uploads", api_key, {"ext": "png"})
        rows["id"].append(issued["id"])
        if number % 3:
            put = urllib.request.Request(issued["url"], b"bytes", issued["headers"], method="PUT")
            urllib.request.urlopen(put, timeout=30).close()
    call("DELETE", f"{public}/v1/uploads/{rows['id'][1]}", api_key)
    return rows, api_key


def examine(name, document, token, examples, seed, folder, env):
    """One run; gives its report."""
    report = folder / f"{name}.json"
    command = [
        str(pathlib.Path(sys.executable).parent / "schemathesis"), "--config-file", str(HERE / "schemathesis.toml"), "run", document,
        "--max-examples", examples, "--seed", seed, "--no-color", "--no-shrink", "--continue-on-failure",
        "--report", "json", "--report-json-path", str(report),
    ]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    elif int(examples) < LONG:
        # All that is asked ends at the same place.
        command += ["--phases", "examples,fuzzing"]
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=RUN_SECONDS)
    read = json.loads(report.read_text()) if report.exists() else {}
    # 1 is findings; anything else is a run that was none.
    if done.returncode != 0 or not read:
        print(f"--- {name}\n{done.stdout[-20_000:]}{done.stderr[-5_000:]}")
    return read, done.returncode, time.monotonic() - began


def main():
    binary, examples, seed = os.environ["PRESIGN_BIN"], sys.argv[1], sys.argv[2]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        # Where this runs as root, Postgres does not.
        folder.chmod(0o755)
        dev, facts = start(binary, folder)
        try:
            rows, api_key = playground(facts)
            (folder / "rows.json").write_text(json.dumps(rows))
            env = os.environ | {"PLAYGROUND": str(folder / "rows.json"), "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
            env |= {"PYTHONDONTWRITEBYTECODE": "1"}
            public = facts["PRESIGN_URL"] + "/openapi.json"
            admin = facts["PRESIGN_OPS_URL"] + "/admin/openapi.json"
            runs = [
                ("public", public, api_key),
                ("admin", admin, facts["PRESIGN_OPERATOR_KEY"]),
                ("public, no credential", public, None),
                ("admin, no credential", admin, None),
            ]
            table, failed = [], False
            for name, document, token in runs:
                read, code, seconds = examine(name, document, token, examples, seed, folder, env)
                table.append((name, read, code, seconds))
                failed |= code != 0
            alive = dev.poll() is None
        finally:
            stop(dev)
        panics = (folder / "log").read_text(errors="replace").count("panicked")
    print(f"\n{'document':24}{'operations':>12}{'cases':>8}{'findings':>10}{'seconds':>9}")
    for name, read, code, seconds in table:
        operations = (read.get("operations") or {}).get("tested", 0)
        cases = (read.get("test_cases") or {}).get("generated", 0)
        findings = sum(group["count"] for kind in ("failures", "errors") for group in read.get(kind) or []) if read else f"exit {code}"
        print(f"{name:24}{operations:>12}{cases:>8}{findings:>10}{seconds:>9.0f}")
    if not alive or panics:
        print(f"the gateway {'panicked' if panics else 'ended'}")
    sys.exit(failed or not alive or panics > 0)


if __name__ == "__main__":
    main()
