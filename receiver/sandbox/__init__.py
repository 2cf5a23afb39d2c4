"""A stand-in for the providers' APIs on loopback: takes jobs, finishes them, and lets go wrong what it is told to."""

from receiver.sandbox.conditions import Conditions, Fate
from receiver.sandbox.creativeai_webhooks import signed, webhook_body
from receiver.sandbox.server import Sandbox
from receiver.sandbox.traffic import Asked, Outcome, Posted

__all__ = ["Asked", "Conditions", "Fate", "Outcome", "Posted", "Sandbox", "signed", "webhook_body"]
