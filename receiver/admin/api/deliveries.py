"""Deliveries that were let in, and those in the quarantine."""

from flask import Response

from receiver import plugins, quarantine
from receiver.admin.api.operations import Resource, not_found
from receiver.admin.api.shapes import (
    DeliveryShape,
    PageOf,
    RefusalShape,
    VerifiedAgain,
    WholeDelivery,
    WholeRefusal,
)
from receiver.admin.api.values import Id, MomentGiven, Name, PageQuery
from receiver.admin.extension import admin
from receiver.errors import Reason, Refused
from receiver.models import Scope, Via
from receiver.store.base import DeliveryFilter, RefusalFilter, Row, Verdict

resource = Resource("deliveries")


class DeliveryQuery(PageQuery):
    """Which deliveries."""

    source: Name | None = None
    verdict: Verdict | None = None
    via: Via | None = None
    since: MomentGiven | None = None
    """Received at this moment or later."""
    until: MomentGiven | None = None
    """Received before this moment."""


class RefusalQuery(PageQuery):
    """Which refused deliveries."""

    source: Name | None = None
    reason: Reason | None = None


@resource.get("/deliveries")
def list_deliveries(query: DeliveryQuery) -> PageOf[DeliveryShape]:
    """List deliveries that were let in, newest first."""
    wanted = DeliveryFilter(
        source=query.source, verdict=query.verdict, via=query.via, since=query.since, until=query.until
    )
    return PageOf[DeliveryShape].of(admin().store.list_deliveries(wanted, limit=query.limit, before=query.before))


@resource.get("/deliveries/{delivery}")
def show_delivery(delivery: Id) -> WholeDelivery:
    """Show one delivery with its headers."""
    return whole_delivery(delivery_row(delivery))


@resource.get("/deliveries/{delivery}/body")
def download_delivery(delivery: Id) -> Response:
    """Download the untouched body of a delivery."""
    return _download(delivery_row(delivery)["body"], f"delivery-{delivery}")


@resource.get("/quarantine")
def list_refusals(query: RefusalQuery) -> PageOf[RefusalShape]:
    """List refused deliveries with the reason, newest first."""
    wanted = RefusalFilter(source=query.source, reason=query.reason)
    return PageOf[RefusalShape].of(admin().store.list_refusals(wanted, limit=query.limit, before=query.before))


@resource.get("/quarantine/{refusal}")
def show_refusal(refusal: Id) -> WholeRefusal:
    """Show one refused delivery with its headers."""
    return whole_refusal(refusal_row(refusal))


@resource.get("/quarantine/{refusal}/body")
def download_refusal(refusal: Id) -> Response:
    """Download the body of a refused delivery, as far as it is kept."""
    return _download(refusal_row(refusal)["body"], f"refused-{refusal}")


@resource.post("/quarantine/{refusal}/verify", scope=Scope.OPERATE)
def verify_refusal(refusal: Id) -> VerifiedAgain:
    """Verify a refused delivery again, after a fix.

    It is judged by the time it was received. If it is genuine it is taken in and leaves the quarantine; otherwise it
    stays there with the reason for which it is refused now.
    """
    source = plugins.source(admin().sources, refusal_row(refusal)["source"])
    max_body = admin().config.quarantine.max_body
    try:
        receipt = quarantine.verify_again(admin().store, source, refusal, max_body=max_body)
    except Refused as refused:
        return VerifiedAgain(accepted=False, reason=refused.reason, hint=refused.hint)
    return VerifiedAgain(accepted=True, delivery=receipt.delivery_id, repeated=receipt.repeated)


def whole_delivery(row: Row) -> WholeDelivery:
    """A delivery's row as the API shows it."""
    return WholeDelivery.model_validate({**row, "body_size": len(row["body"])})


def whole_refusal(row: Row) -> WholeRefusal:
    """A refused delivery's row as the API shows it."""
    return WholeRefusal.model_validate({**row, "body_size": len(row["body"])})


def delivery_row(delivery_id: int) -> Row:
    """A delivery with its body.

    Raises:
        Problem: there is none with that id.
    """
    row = admin().store.delivery(delivery_id)
    if row is None:
        raise not_found("delivery", delivery_id)
    return row


def refusal_row(refusal_id: int) -> Row:
    """A refused delivery with its body.

    Raises:
        Problem: there is none with that id.
    """
    row = admin().store.refusal(refusal_id)
    if row is None:
        raise not_found("refused delivery", refusal_id)
    return row


def _download(body: bytes, name: str) -> Response:
    """What a stranger sent: the browser is to save it, and never to show it."""
    return Response(
        body,
        mimetype="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}.bin"'},
    )
