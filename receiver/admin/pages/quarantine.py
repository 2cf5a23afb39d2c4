"""The quarantine: what was refused, why, and verifying it again after a fix."""

from collections.abc import Mapping

from flask import Blueprint, Response, render_template

from receiver.admin import access
from receiver.admin.api import deliveries as api
from receiver.admin.api.deliveries import RefusalQuery
from receiver.admin.extension import admin
from receiver.admin.pages import deliveries, forms
from receiver.errors import Reason
from receiver.models import Scope

bp = Blueprint("quarantine", __name__, url_prefix="/quarantine")

REASONS: Mapping[Reason, str] = {
    Reason.MISSING_SIGNATURE: "it was not signed",
    Reason.MALFORMED: "its signature cannot be read",
    Reason.SIGNATURE_MISMATCH: "its signature was made with another secret, or its body was changed",
    Reason.NO_SUPPORTED_SIGNATURE: "it was signed in a way that is not checked here",
    Reason.NO_KEYS: "the sender's public keys were not known",
    Reason.TIMESTAMP_TOO_OLD: "the time that was signed is too old: it came late, is a repetition, or a clock is wrong",
    Reason.TIMESTAMP_TOO_NEW: "the time that was signed is yet to come: one of the two clocks is wrong",
    Reason.UNKNOWN_SOURCE: "there was no such source",
    Reason.TRUNCATED: "it broke off before its end",
    Reason.NO_WEBHOOKS: "its provider sends no webhooks",
}
"""What each reason means, in words."""


@bp.get("")
@access.with_session(Scope.READ)
def listed() -> str:
    """List refused deliveries, newest first."""
    query = forms.filters(RefusalQuery)
    page = api.list_refusals(query)
    return render_template(
        "quarantine.html",
        query=query,
        refusals=page.items,
        following=forms.following(page.next),
        sources=sorted(admin().sources),
        reasons=REASONS,
    )


@bp.get("/<id:refusal>")
@access.with_session(Scope.READ)
def one(refusal: int) -> str:
    """Show one refused delivery with its headers and its body."""
    row = api.refusal_row(refusal)
    shape = api.whole_refusal(row)
    return render_template(
        "refusal.html",
        refusal=shape,
        as_it_came=deliveries.as_it_came(shape, row["body"], f"/api/v1/quarantine/{refusal}/body"),
        reasons=REASONS,
        configured=shape.source in admin().sources,
    )


@bp.post("/<id:refusal>/verify")
@access.with_session(Scope.OPERATE)
def verify(refusal: int) -> Response:
    """Verify it again, judged by the time it was received."""
    verified = api.verify_refusal(refusal)
    if not verified.accepted:
        return forms.done("pages.quarantine.one", "refused", refusal=refusal)
    what = "accepted-repeated" if verified.repeated else "accepted"
    return forms.done("pages.deliveries.one", what, delivery=verified.delivery)
