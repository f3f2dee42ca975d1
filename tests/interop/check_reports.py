"""Holds reports to the schemas of their forms, with validators that share no code with repro.

usage: check_reports.py DOCS SARIF-SCHEMA JUNIT-SCHEMA FILE...

The schema of a JSON document is chosen by the name that it gives itself. Prints one line a file.
"""

import copy
import json
import sys
from pathlib import Path

import jsonschema
import junitparser
import referencing
import xmlschema


def closed(schema):
    """The schema without room for fields that it does not name.

    What is published allows more fields, since v1 may grow; what this version writes must all be
    described.
    """
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    if "properties" in result and result.get("type") == "object":
        result.setdefault("additionalProperties", False)
    return result


def load(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def numbers(value):
    """Every number of a document."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value


def ours(docs, document):
    schemas = {}
    for path in sorted(Path(docs).glob("*.schema.json")):
        schema = load(path)
        jsonschema.Draft202012Validator.check_schema(schema)
        schemas[schema["$id"]] = closed(copy.deepcopy(schema))
    registry = referencing.Registry().with_contents(schemas.items())
    name = document["schema"]
    validator = jsonschema.Draft202012Validator(
        schemas[name], registry=registry, format_checker=jsonschema.FormatChecker()
    )
    validator.validate(document)
    assert all(isinstance(number, int) for number in numbers(document)), "a number is no integer"
    return name


def sarif(schema, document):
    schema = load(schema)
    validator = jsonschema.validators.validator_for(schema)
    validator(schema, format_checker=jsonschema.FormatChecker()).validate(document)
    rules = document["runs"][0]["tool"]["driver"]["rules"]
    for result in document["runs"][0]["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"], "the rule is another one"
    return f"{len(document['runs'][0]['results'])} results"


def junit(schema, path):
    xmlschema.XMLSchema(schema).validate(path)
    cases = [case for suite in junitparser.JUnitXml.fromfile(path) for case in suite]
    kinds = [type(result).__name__ for case in cases for result in case.result]
    suite = next(iter(junitparser.JUnitXml.fromfile(path)))
    assert suite.tests == len(cases), "the number of cases is another one"
    assert suite.failures == kinds.count("Failure"), "the number of failures is another one"
    assert suite.errors == kinds.count("Error"), "the number of errors is another one"
    assert suite.skipped == kinds.count("Skipped"), "the number of skipped cases is another one"
    return f"{len(cases)} cases, {suite.failures} failures"


def main():
    docs, sarif_schema, junit_schema, *files = sys.argv[1:]
    if not files:
        sys.exit("no report was named")
    for file in files:
        if file.endswith(".xml"):
            said = junit(junit_schema, file)
        elif file.endswith(".sarif"):
            said = sarif(sarif_schema, load(file))
        else:
            said = ours(docs, load(file))
        print(f"{file}: {said}")


if __name__ == "__main__":
    main()
