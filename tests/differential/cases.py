"""Makes the cases that every side signs: `cases.py HOW_MANY SEED >cases.jsonl`.

The first cases are one of each kind (regions, odd object keys, ends of ranges); the others mix everything at random. The
secrets are made up.
"""

import base64
import json
import random
import sys

import botocore.session

# What a template of ours can make, and much that it cannot: the signer must not care.
ODD_KEYS = [
    "a b.jpg", "a+b.jpg", "a%20b.jpg", "100%.jpg", "%2F", "%25", "a=b&c=d?e#f.jpg", "~tilde.jpg", "star*.jpg",
    "it's (1)!.jpg", "a//b.jpg", "//a.jpg", "a/", "/a.jpg", "./a.jpg", "a/./b.jpg", "a/../b.jpg", "../a.jpg", "..", ".", "...",
    "日本語/写真.jpg", "é.jpg", "e\u0301.jpg", "😀.mp4", "\u00a0nbsp", "a\tb", "a\\b", "a:b@c;d,e$f", "[x]{y}|z^`\"<>",
    "2026/11/22/01a203fe-9eeb-7344-910f-c05f00b8cddb.jpg", "x", "k" * 1024, "é" * 512, "a;b", "a,b", "@", "a&amp;b", "\u0080", "\uffff",
    "\U0010ffff", "a\u200bb", "مرحبا.jpg", "CAPS.JPG", "-", "_", "a'b", "a(b)", "a!b", "http://x/y",
]
ODD_VALUES = [
    "summer", "a b", "a+b", "a  b", "100%", "%41", "a&b=c", "=?UTF-8?B?w6k=?=", "é", "日本語", "😀", "a/b;c,d", "\"quoted\"", "1.5", "-", "~*'()!",
]
ODD_TOKENS = ["FwoGZXIvYXdzEXAMPLE+/==", "a/b+c=", "jwt/eyJhbGciOi.x.y~", "T" * 1200, "!*'();:@&=+$,/?#[] "]
SECRETS = ["an/example+secret", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "=", "a~b!c*d'e"]
ACCESS_KEY_IDS = ["AKIDEXAMPLE", "6e6c43651abc34a6293142ae2f243c42", "made-up_id.1", "a+b=c"]
MEDIA_TYPES = ["image/jpeg", "image/png", "image/webp", "image/gif", "video/mp4", "video/webm"]
DISPOSITIONS = [
    "inline", "attachment", 'attachment; filename="a b.jpg"', "attachment; filename=\"_.jpg\"; filename*=UTF-8''%E6%97%A5.jpg", 'inline; filename="100%25+.jpg"',
]
ENDPOINTS = [
    "https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com", "https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com",
    "http://store.example:9000", "https://store.example:8443", "http://store.example", "https://store.example", "http://127.0.0.1:3002", "http://localhost:3002",
    "https://xn--bcher-kva.example", "https://s3.amazonaws.com",
]
OTHER_REGIONS = ["auto", "wnam", "enam", "weur", "eeur", "apac", "oc", "garage", "dev-1"]
FIRST_SECOND, LAST_SECOND = 1_400_000_000, 4_102_444_799
TIMES = [FIRST_SECOND, LAST_SECOND, 1_709_164_799, 1_709_251_199, 1_735_689_599, 1_735_689_600, 1_767_225_600, 1_795_305_600]
EXPIRIES = [1, 2, 59, 60, 299, 300, 3600, 86_400, 604_799, 604_800]


def native_endpoints():
    """The endpoint of each region that botocore knows."""
    session = botocore.session.get_session()
    resolver = session.get_component("endpoint_resolver")
    for partition in session.get_available_partitions():
        suffix = resolver.get_partition_dns_suffix(partition)
        for region in sorted(session.get_available_regions("s3", partition)):
            yield region, f"https://s3.{region}.{suffix}"


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.native = list(native_endpoints())
        self.regions = [region for region, _ in self.native] + OTHER_REGIONS
        self.made = 0

    def case(self, **given):
        """A random case, but for what is given."""
        pick = self.random.choice
        native = self.random.random() < 0.2
        region, endpoint = pick(self.native) if native else (pick(self.regions), pick(ENDPOINTS))
        case = {
            "native": native,
            "endpoint": endpoint,
            "region": region,
            "virtual_hosted": self.random.random() < 0.5,
            "key": self.object_key(),
            "access_key_id": pick(ACCESS_KEY_IDS),
            "secret_access_key": pick(SECRETS),
            "session_token": pick(ODD_TOKENS + [None] * 5),
            "expires": self.random.randint(1, 604_800) if self.random.random() < 0.7 else pick(EXPIRIES),
            "time": self.random.randint(FIRST_SECOND, LAST_SECOND) if self.random.random() < 0.8 else pick(TIMES),
            "metadata": [],
            "headers": [],
            "content_disposition": None,
            "content_type": None,
        }
        case["method"] = given.get("method") or pick(["PUT", "PUT", "PUT", "GET"])
        if case["method"] == "PUT":
            case["metadata"], case["headers"] = self.metadata(), self.headers()
        else:
            case["content_disposition"] = pick(DISPOSITIONS + [None] * 3)
            case["content_type"] = pick(MEDIA_TYPES + ["application/octet-stream", None, None])
        case.update(given)
        # The SDKs take no address for a host with a bucket in front of it.
        if case["endpoint"].startswith("http://127."):
            case["virtual_hosted"] = False
        case.setdefault("bucket", self.bucket(case["virtual_hosted"]))
        case["id"] = self.made
        self.made += 1
        return case

    def bucket(self, virtual_hosted):
        # With dots they leave virtual-hosted style by themselves, as no certificate fits.
        inner = "abcdefghijklmnopqrstuvwxyz0123456789-" + ("" if virtual_hosted else ".")
        name = "b" + "".join(self.random.choices(inner, k=self.random.randint(1, 30))) + "9"
        for pair in ("..", ".-", "-."):
            while pair in name:
                name = name.replace(pair, "x")
        return name

    def object_key(self):
        if self.random.random() < 0.3:
            return self.random.choice(ODD_KEYS)
        alphabet = "abcXYZ0189-_.~ +%&=?#*'!(),:;@$[]{}|^`\"<>\\éß日本😀\u00a0\u0301"
        segments = self.random.randint(1, 4)
        return "/".join("".join(self.random.choices(alphabet, k=self.random.randint(1, 20))) for _ in range(segments))

    def metadata(self):
        pairs = {}
        for _ in range(self.random.choice([0, 0, 1, 2, 4, 16])):
            name = "".join(self.random.choices("abcdefghijklmnopqrstuvwxyz0123456789-_", k=self.random.randint(1, 12)))
            pairs[name] = self.random.choice(ODD_VALUES)
        return list(pairs.items())

    def headers(self):
        chance = lambda: self.random.random() < 0.35
        headers = []
        if chance():
            headers.append(("content-length", str(self.random.choice([0, 1, 183_271, 5 << 30]))))
        if chance():
            headers.append(("content-type", self.random.choice(MEDIA_TYPES)))
        if chance():
            headers.append(("if-none-match", "*"))
        if chance():
            headers.append(("x-amz-checksum-sha256", base64.b64encode(self.random.randbytes(32)).decode()))
        return headers

    def one_of_each(self):
        for region, endpoint in self.native:
            yield dict(native=True, region=region, endpoint=endpoint)
        for region in OTHER_REGIONS:
            yield dict(native=False, region=region)
        for endpoint in ENDPOINTS:
            for virtual_hosted in (False, True):
                yield dict(native=False, endpoint=endpoint, region="us-east-1", virtual_hosted=virtual_hosted)
        for key in ODD_KEYS:
            yield dict(key=key)
        for value in ODD_VALUES:
            yield dict(method="PUT", metadata=[("name", value), ("a-b_c", value)])
        for token in ODD_TOKENS:
            yield dict(session_token=token)
        for expires in EXPIRIES:
            yield dict(expires=expires)
        for time in TIMES:
            yield dict(time=time)
        for value in DISPOSITIONS:
            yield dict(method="GET", content_disposition=value)


def main():
    how_many, seed = int(sys.argv[1]), int(sys.argv[2])
    maker = Maker(seed)
    given = list(maker.one_of_each())
    for index in range(how_many):
        case = maker.case(**(given[index] if index < len(given) else {}))
        print(json.dumps(case, ensure_ascii=True))


if __name__ == "__main__":
    main()
