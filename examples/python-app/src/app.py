"""Greets whoever asks, with names escaped by MarkupSafe's extension in C."""

from flask import Flask, jsonify
from markupsafe import _speedups, escape

app = Flask(__name__)


@app.get("/")
def index():
    return "<!doctype html><p>Ask for /hello/NAME\n"


@app.get("/hello/<name>")
def hello(name):
    return f"<!doctype html><p>Hello, {escape(name)}\n"


@app.get("/health")
def health():
    return jsonify(status="well", escape=_speedups.__name__)
