"""Validates an SPDX 2.3 document with the SPDX project's own library.

usage: validate_spdx.py DOCUMENT

Prints "valid" and the number of packages, or what is wrong, and exits 1 then.
"""

import sys

from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def main(path: str) -> int:
    document = parse_file(path)
    messages = validate_full_spdx_document(document)
    for message in messages:
        print(f"{message.context.spdx_id}: {message.validation_message}")
    if messages:
        return 1
    print(f"valid: {len(document.packages)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
