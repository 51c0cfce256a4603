#!/usr/bin/env python3
"""Holds Portcullis against cosign over thousands of bundles that differ from a good one in one place.

Every bundle is judged twice without network: by `cosign verify-blob-attestation`, one process each, and by
`portcullis policy test`, all of them as recordings in one run. Where only cosign accepts, ours is the stricter rule, and the
report says which; where only Portcullis accepts, the run fails.

  tests/differential/bundles.py [--count N] [--random-seed N] [--vector NAME]...

PORTCULLIS and COSIGN3 name the programs (default: target/debug/portcullis, and what tests/clients/install.sh put in place).
The good bundles are recordings of tests/vectors: signed by key, without a log. README.md explains the differences.
"""

import argparse
import base64
import collections
import concurrent.futures
import copy
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
PORTCULLIS = os.environ.get("PORTCULLIS", ROOT / "target" / "debug" / "portcullis")
COSIGN = os.environ.get("COSIGN3", pathlib.Path.home() / ".cache" / "portcullis-tools" / "bin" / "cosign3")
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGNATURE_TYPE = "https://sigstore.dev/cosign/sign/v1"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
DEFAULT_VECTORS = ["bundle-p256", "bundle-rsa2048", "bundle-annotated", "bundle-index"]


class Vector:
    """A good bundle: what it is about, who signed it, and its bytes."""

    def __init__(self, name):
        folder = VECTORS / name
        case = json.loads((folder / "case.json").read_text())
        self.name = name
        self.image = case["name"]
        self.manifest = (folder / "manifest.json").read_bytes()
        self.key = folder / case["keys"][0]
        self.bundle = (folder / "payload-0.json").read_bytes()


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def mutations(bundle, count, chance):
    """Pairs of what was changed and the changed bundle: every member in every way, then bytes by chance."""
    document = json.loads(bundle)
    yield "nothing", bundle
    for path in paths(document):
        for change, changed in member_changes(document, path):
            yield f"{'.'.join(map(str, path))}: {change}", changed
    for path, inner in encoded(document):
        for position in chance.sample(range(len(inner)), min(len(inner), 40)):
            changed = bytearray(inner)
            changed[position] ^= 1 << chance.randrange(8)
            yield f"{'.'.join(map(str, path))}: a bit inside", put(document, path, base64.b64encode(changed).decode())
    for _ in range(count):
        changed = bytearray(bundle)
        position = chance.randrange(len(changed))
        changed[position] = chance.choice([chance.randrange(256), changed[position] ^ 0x20, ord(" "), ord('"')])
        yield "a byte", bytes(changed)


def paths(node, path=()):
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, child in items:
        yield (*path, name)
        yield from paths(child, (*path, name))


def at(document, path):
    for name in path:
        document = document[name]
    return document


def put(document, path, value):
    document = copy.deepcopy(document)
    at(document, path[:-1])[path[-1]] = value
    return json.dumps(document).encode()


def member_changes(document, path):
    """Everything that is done to one member."""
    value = at(document, path)
    without = copy.deepcopy(document)
    del at(without, path[:-1])[path[-1]]
    yield "taken out", json.dumps(without).encode()
    for what, other in (("null", None), ("a number", 7), ("an empty text", ""), ("a list", []), ("an object", {}), ("true", True)):
        yield what, put(document, path, other)
    if isinstance(value, str) and value:
        yield "longer", put(document, path, value + "A")
        yield "shorter", put(document, path, value[:-1])
        yield "with a line break", put(document, path, value + "\n")
        yield "in another case", put(document, path, value.swapcase())
        yield "url-safe", put(document, path, value.replace("+", "-").replace("/", "_"))
        yield "without padding", put(document, path, value.rstrip("="))
    if isinstance(value, list):
        yield "twice", put(document, path, value + value)
    if isinstance(path[-1], str):
        text, name = json.dumps(document), json.dumps(path[-1])
        yield "twice by name", text.replace(f"{name}: ", f"{name}: {json.dumps(value)}, {name}: ", 1).encode()
        yield "its name in another case", text.replace(name, json.dumps(path[-1].swapcase()), 1).encode()
        with_other = copy.deepcopy(document)
        at(with_other, path[:-1])["unknown"] = "member"
        yield "an unknown member beside", json.dumps(with_other).encode()


def encoded(document):
    """The members that hold bytes, with those bytes."""
    for path in paths(document):
        value = at(document, path)
        if isinstance(value, str) and len(value) > 40:
            try:
                yield path, base64.b64decode(value, validate=True)
            except ValueError:
                pass


def record(folder, vector, bundle):
    """The recording of an image whose one referrer holds `bundle`."""
    folder.mkdir(parents=True)
    subject = digest(vector.manifest)
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2}
    referrer = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "artifactType": BUNDLE_TYPE, "config": empty,
        "layers": [{"mediaType": BUNDLE_TYPE, "digest": digest(bundle), "size": len(bundle)}],
        "subject": {"mediaType": MANIFEST_TYPE, "digest": subject, "size": len(vector.manifest)},
    }).encode()
    contents = [vector.manifest, referrer, bundle]
    found = {f"{vector.image}@{digest(content)}": digest(content) for content in contents}
    for suffix in ("sig", "att"):
        found[f"{vector.image}:{subject.replace(':', '-')}.{suffix}"] = None
    listed = {"mediaType": MANIFEST_TYPE, "digest": digest(referrer), "size": len(referrer), "artifactType": BUNDLE_TYPE}
    about = {"image": vector.image, "digest": subject, "recorded": "2026-11-24T00:00:00Z"}
    answers = {"found": found, "referrers": {f"{vector.image}@{subject}": [listed]}, "failed": {}}
    for content in contents:
        (folder / digest(content).replace(":", "-")).write_bytes(content)
    (folder / "recording.json").write_text(json.dumps({"version": 1, "about": about, "answers": answers}))


def by_cosign(vector, bundle_file):
    command = [
        COSIGN, "verify-blob-attestation", "--bundle", bundle_file, "--key", vector.key, "--type", SIGNATURE_TYPE,
        "--insecure-ignore-tlog=true", "--digestAlg", "sha256", "--digest", digest(vector.manifest).removeprefix("sha256:"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode == 0, done.stderr.strip().splitlines()[-1:] or [""]


def by_portcullis(work, vector, count):
    """The verdicts on all recordings of `work`, in order."""
    upstream = vector.image.split("/")[0]
    (work / "portcullis.toml").write_text(f'data = "data"\n[[upstream]]\nname = "{upstream}"\n')
    (work / "policy.toml").write_text(
        f'version = 1\n[authority.signer]\nkey = "{vector.key}"\n[[rule]]\nmatch = "{upstream}/**"\nrequire = "signer"\n'
    )
    cases = "".join(
        f'[[case]]\nname = "{nth}"\nevidence = "{nth}"\noutcome = "admitted"\n' for nth in range(count)
    )
    (work / "cases.toml").write_text(f'version = 1\npolicy = "policy.toml"\n{cases}')
    command = [PORTCULLIS, "policy", "test", "--json", "--config", work / "portcullis.toml", work / "cases.toml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode not in (0, 1):
        sys.exit(f"portcullis: {done.stderr}")
    return [case["verdict"] for case in json.loads(done.stdout)["cases"]]


def why_refused(verdict):
    details = [finding["detail"] for finding in verdict["evidence"] if finding["found"] and not finding["verified"]]
    return f"{verdict['reason']}: {'; '.join(details) or verdict['message']}"


def compare(vector, count, chance):
    """How often both agree, and where they do not: lists of (what was changed, why)."""
    changed = list(mutations(vector.bundle, count, chance))
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for nth, (_, bundle) in enumerate(changed):
            record(work / str(nth), vector, bundle)
            (work / f"{nth}.json").write_bytes(bundle)
        verdicts = by_portcullis(work, vector, len(changed))
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            answers = list(pool.map(lambda nth: by_cosign(vector, work / f"{nth}.json"), range(len(changed))))
    agreed, stricter, laxer = collections.Counter(), [], []
    for (what, _), verdict, (accepted, said) in zip(changed, verdicts, answers, strict=True):
        admitted = verdict["outcome"] == "admitted"
        if admitted == accepted:
            agreed["accepted" if admitted else "refused"] += 1
        elif accepted:
            stricter.append((what, why_refused(verdict)))
        else:
            laxer.append((what, said[0]))
    if verdicts[0]["outcome"] != "admitted" or not answers[0][0]:
        sys.exit(f"{vector.name}: the good bundle is not accepted by both: {verdicts[0]['message']} / {answers[0][1]}")
    return len(changed), agreed, stricter, laxer


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--count", type=int, default=500, help="bundles with one byte changed, for each vector")
    arguments.add_argument("--random-seed", type=int, default=1)
    arguments.add_argument("--vector", action="append")
    options = arguments.parse_args()
    failed = False
    for name in options.vector or DEFAULT_VECTORS:
        total, agreed, stricter, laxer = compare(Vector(name), options.count, random.Random(options.random_seed))
        print(f"{name}: {total} bundles; both accept {agreed['accepted']}, both refuse {agreed['refused']}, "
              f"only cosign accepts {len(stricter)}, only Portcullis accepts {len(laxer)}")
        for (what, why), times in sorted(collections.Counter(stricter).items()):
            print(f"  stricter {times:4}  {what}\n                 {why}")
        for (what, why), times in sorted(collections.Counter(laxer).items()):
            print(f"  LAXER    {times:4}  {what}\n                 {why}")
        failed |= bool(laxer)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
