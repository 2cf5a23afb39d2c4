"""A Flask app that answers and does nothing: the ceiling for whatever runs on the same server."""

from flask import Flask

app = Flask(__name__, static_folder=None)


@app.post("/webhooks/<path:rest>")
def answer(rest: str) -> tuple[str, int]:
    """Answer 204."""
    return "", 204
