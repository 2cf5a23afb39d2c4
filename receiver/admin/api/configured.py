"""Sources and handlers, and pausing them."""

from pydantic import SecretStr

from receiver import plugins
from receiver.admin.api.operations import Resource, not_found
from receiver.admin.api.shapes import HandlerShape, ListOf, OfferShape, RouteShape, SourceShape, told
from receiver.admin.api.values import Name
from receiver.admin.extension import admin
from receiver.inbox import Source
from receiver.models import Scope
from receiver.routing import Handler, Route

resource = Resource("configuration")


@resource.get("/sources")
def list_sources() -> ListOf[SourceShape]:
    """List the sources that are configured."""
    return ListOf[SourceShape](items=[_source_shape(source) for source in admin().sources.values()])


@resource.get("/sources/{source}")
def show_source(source: Name) -> SourceShape:
    """Show one source."""
    return _source_shape(plugins.source(admin().sources, source))


@resource.get("/sources/{source}/catalog", scope=Scope.SUBMIT, spends=True)
def list_offers(source: Name) -> ListOf[OfferShape]:
    """List what a source's provider offers to make. The provider is asked.

    It takes a token in `Authorization`, not the session of the page, and no HEAD.
    """
    offers = admin().receiver.catalog(source)
    return ListOf[OfferShape](
        items=[OfferShape(name=offer.name, kind=offer.kind, data=dict(offer.data)) for offer in offers]
    )


@resource.post("/sources/{source}/pause", scope=Scope.OPERATE)
def pause_source(source: Name) -> SourceShape:
    """Ask about no job of the source from now on. Its webhooks come in all the while."""
    return _source_paused(source, paused=True)


@resource.post("/sources/{source}/resume", scope=Scope.OPERATE)
def resume_source(source: Name) -> SourceShape:
    """Ask about the source's jobs again."""
    return _source_paused(source, paused=False)


@resource.get("/handlers")
def list_handlers() -> ListOf[HandlerShape]:
    """List the handlers that are switched on, what they want, and what keeps them from being run."""
    waiting = admin().store.waiting()
    return ListOf[HandlerShape](items=[_handler_shape(found, waiting.get(found.name, 0)) for found in admin().handlers])


@resource.get("/handlers/{handler}")
def show_handler(handler: Name) -> HandlerShape:
    """Show one handler."""
    return _handler_shape(_handler(handler), admin().store.waiting().get(handler, 0))


@resource.post("/handlers/{handler}/pause", scope=Scope.OPERATE)
def pause_handler(handler: Name) -> HandlerShape:
    """Keep the handler's dispatches waiting from now on. What runs goes on."""
    return _handler_paused(handler, paused=True)


@resource.post("/handlers/{handler}/resume", scope=Scope.OPERATE)
def resume_handler(handler: Name) -> HandlerShape:
    """Let the handler's dispatches run again."""
    return _handler_paused(handler, paused=False)


def _source_paused(name: str, *, paused: bool) -> SourceShape:
    source = plugins.source(admin().sources, name)
    admin().store.pause_source(name, paused=paused)
    return _source_shape(source)


def _handler_paused(name: str, *, paused: bool) -> HandlerShape:
    _handler(name)
    admin().store.pause_handler(name, paused=paused)
    return show_handler(name)


def _handler(name: str) -> Handler:
    for handler in admin().handlers:
        if handler.name == name:
            return handler
    raise not_found("handler", name)


def _source_shape(source: Source) -> SourceShape:
    provider = source.provider
    return SourceShape(
        name=source.name,
        provider=provider.name,
        sends_webhooks=provider.sends_webhooks,
        polls=provider.polls,
        base_url=provider.base_url or None,
        has_api_key=provider.api_key is not None,
        secrets=_masked_secrets(source),
        requests_left=source.requests_left(admin().store) if source.askable else None,
        kinds=list(provider.kinds),
        creates=list(provider.create_calls),
        due_count=admin().store.count_due_jobs(source.name),
        paused_at=told(admin().store.source_paused_at(source.name)),
    )


def _masked_secrets(source: Source) -> dict[str, str | list[str]]:
    """The table's own and the provider's, told by their type, whose text shows nothing."""
    settings = {**admin().config.sources[source.name].model_dump(), **source.provider.settings.model_dump()}
    shown: dict[str, str | list[str]] = {}
    for name, value in settings.items():
        if isinstance(value, SecretStr):
            shown[name] = str(value)
        elif isinstance(value, list | tuple) and value and all(isinstance(one, SecretStr) for one in value):
            shown[name] = [str(one) for one in value]
    return shown


def _handler_shape(handler: Handler, waiting_count: int) -> HandlerShape:
    hold = admin().store.hold(handler.name)
    return HandlerShape(
        name=handler.name,
        routes=[_route_shape(route) for route in handler.routes],
        table=_route_shape(handler.filter),
        max_attempts=handler.max_attempts,
        timeout_seconds=handler.timeout.total_seconds(),
        concurrency=handler.concurrency,
        waiting_count=waiting_count,
        failure_count=hold.failure_count,
        parked_until=told(hold.parked_until),
        paused_at=told(hold.paused_at),
    )


def _route_shape(route: Route) -> RouteShape:
    return RouteShape(
        source=route.source,
        type=route.type,
        status=sorted(route.statuses),
        kind=sorted(route.kinds),
        where=route.where_name,
    )
