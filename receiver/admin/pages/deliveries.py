"""Deliveries that were let in: the list, and one of them as it came."""

from dataclasses import dataclass

from flask import Blueprint, render_template

from receiver.admin import access
from receiver.admin.api import deliveries as api
from receiver.admin.api.deliveries import DeliveryQuery
from receiver.admin.api.operations import not_found
from receiver.admin.api.shapes import WholeDelivery, WholeRefusal
from receiver.admin.extension import admin
from receiver.admin.pages import forms
from receiver.masking import mask_headers
from receiver.models import Scope, Via
from receiver.store.base import Row, Verdict

bp = Blueprint("deliveries", __name__, url_prefix="/deliveries")

_LONGEST_BODY = 16_000


@dataclass(frozen=True, kw_only=True)
class Body:
    """The beginning of a body as text."""

    text: str
    size: int
    """In bytes, of the whole."""
    address: str
    """Where the whole can be downloaded."""

    @property
    def cut(self) -> bool:
        """Whether there is more."""
        return self.size > _LONGEST_BODY


@dataclass(frozen=True, kw_only=True)
class AsItCame:
    """A delivery with the beginning of its body."""

    shape: WholeDelivery | WholeRefusal
    headers: dict[str, str]
    body: Body


@bp.get("")
@access.with_session(Scope.READ)
def listed() -> str:
    """List deliveries that were let in, newest first."""
    query = forms.filters(DeliveryQuery)
    page = api.list_deliveries(query)
    return render_template(
        "deliveries.html",
        query=query,
        deliveries=page.items,
        following=forms.following(page.next),
        sources=sorted(admin().sources),
        verdicts=list(Verdict),
        vias=list(Via),
    )


@bp.get("/<int:delivery>")
@access.with_session(Scope.READ)
def one(delivery: int) -> str:
    """Show one delivery with its headers and its body."""
    return render_template("delivery.html", delivery=whole(delivery))


def whole(delivery: int) -> AsItCame:
    """A delivery as it came.

    Raises:
        Problem: there is none with that id.
    """
    shape = api.show_delivery(delivery)
    return as_it_came(shape, admin().store.delivery(delivery), f"/api/v1/deliveries/{delivery}/body")


def as_it_came(shape: WholeDelivery | WholeRefusal, row: Row | None, address: str) -> AsItCame:
    """A delivery with the body of its row.

    Raises:
        Problem: the row is gone by now.
    """
    if row is None:
        raise not_found("delivery", shape.id)
    body: bytes = row["body"]
    text = body[:_LONGEST_BODY].decode("utf-8", "replace")
    return AsItCame(
        shape=shape, headers=mask_headers(shape.headers), body=Body(text=text, size=len(body), address=address)
    )
