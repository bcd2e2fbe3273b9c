"""CRM_API_RATE requests per minute and key. Counted in the default cache: per process in memory, shared with redis."""

import math
import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from crm.api.authentication import Caller

if TYPE_CHECKING:  # DRF's views import this module
    from rest_framework.views import APIView

WINDOW_S = 60


class KeyThrottle(BaseThrottle):
    """A minute begins with a key's first request and ends 60 s later; 0 means no limit."""

    def __init__(self) -> None:
        self._until = 0.0

    def allow_request(self, request: Request, view: "APIView") -> bool:
        if not settings.CRM_API_RATE or not request.user or not request.user.is_authenticated:
            return True
        name = f"api-rate:{Caller.of(request).principal}"
        now = time.time()
        self._until = cache.get_or_set(f"{name}:until", now + WINDOW_S, WINDOW_S) or now + WINDOW_S
        cache.add(name, 0, self._until - now)
        try:
            return cache.incr(name) <= settings.CRM_API_RATE
        except ValueError:  # the minute ended between the two calls
            return True

    def wait(self) -> float:
        return float(max(1, math.ceil(self._until - time.time())))
