"""Deliveries that were let in: the list, and one of them as it came."""

from dataclasses import dataclass

from flask import Blueprint, render_template

from receiver.admin import access
from receiver.admin.api import deliveries as api
from receiver.admin.api.deliveries import DeliveryQuery
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


@bp.get("/<id:delivery>")
@access.with_session(Scope.READ)
def one(delivery: int) -> str:
    """Show one delivery with its headers and its body."""
    return render_template("delivery.html", delivery=whole(api.delivery_row(delivery)))


def whole(row: Row) -> AsItCame:
    """A delivery as it came, from its row."""
    return as_it_came(api.whole_delivery(row), row["body"], f"/api/v1/deliveries/{row['id']}/body")


def as_it_came(shape: WholeDelivery | WholeRefusal, body: bytes, address: str) -> AsItCame:
    """A delivery with the beginning of its body, and where the whole can be downloaded."""
    text = body[:_LONGEST_BODY].decode("utf-8", "replace")
    return AsItCame(
        shape=shape, headers=mask_headers(shape.headers), body=Body(text=text, size=len(body), address=address)
    )
