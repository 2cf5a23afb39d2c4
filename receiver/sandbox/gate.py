"""Who is let in: no one during an outage, no one without the key, and no one too often."""

import math
import threading
import time
from collections.abc import Mapping
from itertools import count

from flask import Request, Response

from receiver.models import Budget
from receiver.sandbox.api import Api
from receiver.sandbox.conditions import Conditions


class Gate:
    """Stands before all APIs."""

    def __init__(self, conditions: Conditions, api_key: str) -> None:
        self._conditions = conditions
        self._api_key = api_key
        self._allowances: dict[str, _Allowance] = {}
        self._numbers = count(1)
        self._began = time.monotonic()

    def outage(self) -> float:
        """How many seconds the present outage still lasts; 0 if there is none."""
        return self._conditions.outage(time.monotonic() - self._began)

    def refusal(self, api: Api, asked: Request) -> Response | None:
        """Why a request is not served; None if it is."""
        if self.outage():
            return api.refuse(503, "The service is temporarily unavailable")
        if self._api_key not in api.keys(asked):
            return api.refuse(401, "Invalid API key")
        allowance = self._allowance(api)
        if allowance and not allowance.spend():
            answer = api.refuse(429, "Rate limit exceeded")
            answer.headers["Retry-After"] = str(allowance.resets_after)
            return answer
        if self._conditions.fails(next(self._numbers)):
            return api.refuse(500, "Internal server error")
        return None

    def limits(self, api: Api) -> Mapping[str, str]:
        """The headers that say what is left of the budget."""
        allowance = self._allowance(api)
        return allowance.headers if allowance and api.tells_limits else {}

    def _allowance(self, api: Api) -> "_Allowance | None":
        """What this provider allows; None if that is anything."""
        budget = self._conditions.budget
        return self._allowances.setdefault(api.name, _Allowance(budget)) if budget else None


class _Allowance:
    """So many requests in each span; a span begins with its first request."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._guard = threading.Lock()
        self._spent = 0
        self._ends = 0.0

    def spend(self) -> bool:
        """Whether one more was left."""
        with self._guard:
            now = time.monotonic()
            if now >= self._ends:
                self._spent, self._ends = 0, now + self._budget.per.total_seconds()
            if self._spent >= self._budget.count:
                return False
            self._spent += 1
            return True

    @property
    def resets_after(self) -> int:
        """How many seconds until there are as many as at first."""
        return max(math.ceil(self._ends - time.monotonic()), 1)

    @property
    def headers(self) -> Mapping[str, str]:
        return {
            "X-RateLimit-Limit": str(self._budget.count),
            "X-RateLimit-Remaining": str(self._budget.count - self._spent),
            "X-RateLimit-Reset": str(self.resets_after),
        }
