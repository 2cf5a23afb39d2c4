"""How everything stands, over the API."""


def test_tells_what_waits_and_what_is_dead(api, post, attempted):
    attempted(post("vgen_1"), "dead", "no disk")
    post("vgen_2")

    stats = api.get("/stats").get_json()

    assert stats["unrouted_count"] == 1
    assert [(handler["handler"], handler["dead_count"]) for handler in stats["handlers"]] == [("orders", 1)]


def test_tells_whether_webhooks_come(api, post):
    post("vgen_1")

    [health] = api.get("/stats").get_json()["webhooks"]

    assert (health["source"], health["ended_count"], health["missed_share"]) == ("creativeai", 1, 0.0)
    assert health["last_webhook_at"] is not None


def test_tells_since_when_somebody_keeps_things_paused(api, store):
    store.pause_handler("orders", paused=True)
    store.pause_source("creativeai", paused=True)

    stats = api.get("/stats").get_json()

    assert [bool(found["paused_at"]) for found in [*stats["handlers"], *stats["sources"]]] == [True, True]


def test_lists_what_is_wrong(api, post, attempted):
    attempted(post("vgen_1"), "dead", "no disk")

    [alert] = api.get("/alerts").get_json()["items"]

    assert (alert["cause"], alert["since"], alert["told_at"]) == ("dead-letters orders", None, None)
