"""Verifies a Sigstore bundle with securesystemslib and in-toto-attestation.

usage: verify_bundle.py BUNDLE PUBLIC_KEY PREDICATE_TYPE

Exits 0 if the signature is the key's and the payload is a statement with that predicate,
1 if not.
"""

import json
import sys

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey


def main(bundle_path: str, key_path: str, predicate_type: str) -> None:
    with open(bundle_path, encoding="utf-8") as file:
        bundle = json.load(file)
    with open(key_path, "rb") as file:
        key = SSlibKey.from_crypto(load_pem_public_key(file.read()))

    envelope = bundle["dsseEnvelope"]
    # securesystemslib looks a signature up by key id, which bundles leave out.
    for signature in envelope["signatures"]:
        signature["keyid"] = key.keyid
    envelope = Envelope.from_dict(envelope)
    envelope.verify([key], 1)
    if envelope.payload_type != "application/vnd.in-toto+json":
        raise ValueError(f"payload type {envelope.payload_type}")

    statement = json_format.Parse(envelope.payload, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    if statement.predicate_type != predicate_type:
        raise ValueError(f"predicate type {statement.predicate_type}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (KeyError, ValueError, VerificationError, json_format.ParseError) as error:
        print(f"refused: {type(error).__name__}: {error}")
        sys.exit(1)
    print("accepted")
