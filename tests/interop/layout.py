"""Makes an in-toto layout that demands that runs A and B of a pack agree, signed by a key of its own.

usage: layout.py LINK_DIR BUILDER_PUBLIC_KEY OUT_DIR

Needs Debian's in-toto. Writes root.layout and owner.pub to OUT_DIR.
"""

import json
import pathlib
import sys

from in_toto.models.layout import Layout, Step
from in_toto.models.metadata import Metablock
from securesystemslib.interface import (
    generate_and_write_unencrypted_ed25519_keypair,
    import_ed25519_privatekey_from_file,
)


def builder_key(links: pathlib.Path, public: str) -> dict:
    """The key under the id that the links name it by."""
    link = json.loads(next(links.glob("run-a.*.link")).read_text())
    return {
        "keyid": link["signatures"][0]["keyid"],
        "keytype": "ecdsa",
        "scheme": "ecdsa-sha2-nistp256",
        "keyval": {"public": public, "private": ""},
    }


def main(link_dir: str, public_path: str, out_dir: str) -> None:
    links, out = pathlib.Path(link_dir), pathlib.Path(out_dir)
    key = builder_key(links, pathlib.Path(public_path).read_text())

    first = Step(name="run-a")
    first.expected_products = [["ALLOW", "image/blobs/sha256/*"], ["DISALLOW", "*"]]
    second = Step(name="run-b")
    second.expected_materials = [
        ["MATCH", "*", "WITH", "MATERIALS", "FROM", "run-a"],
        ["DISALLOW", "*"],
    ]
    second.expected_products = [
        ["MATCH", "*", "WITH", "PRODUCTS", "FROM", "run-a"],
        ["DISALLOW", "*"],
    ]
    for step in (first, second):
        step.pubkeys = [key["keyid"]]
        step.threshold = 1

    layout = Layout()
    layout.steps = [first, second]
    layout.keys = {key["keyid"]: key}
    layout.set_relative_expiration(days=1)
    owner = str(out / "owner")
    generate_and_write_unencrypted_ed25519_keypair(owner)
    metadata = Metablock(signed=layout)
    metadata.sign(import_ed25519_privatekey_from_file(owner))
    metadata.dump(str(out / "root.layout"))


if __name__ == "__main__":
    main(*sys.argv[1:])
