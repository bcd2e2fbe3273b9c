"""`Idempotency-Key` on a POST: the effect happens once, whoever asks again gets the same answer (contract C8).

The row is inserted first, under a unique constraint: of two requests one works, the other is told 409. Effect and
answer commit in one transaction, so a process that dies leaves either both or neither; its row is then free again
after a minute.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from crm.api.authentication import Caller
from crm.api.exceptions import Unprocessable
from crm.errors import Conflict, Invalid
from crm.models import IdempotentAnswer

KEPT: Final = timedelta(hours=24)
ABANDONED: Final = timedelta(seconds=60)
VALID: Final = re.compile(r"[\x21-\x7e]{1,255}")
REPLAYED: Final = "Idempotency-Replayed"


class InFlight(Conflict):
    code = "idempotency_key_in_flight"
    retry_after = 1

    def __init__(self) -> None:
        super().__init__(_("A request with this Idempotency-Key is still being worked on."))


def once(request: Request, work: Callable[[], Response]) -> Response:
    """The answer of `work()`, or the one that an earlier request with the same key and body got."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return work()
    if not VALID.fullmatch(key):
        detail = _("Idempotency-Key must be 1 to 255 visible ASCII characters.")
        raise Invalid(detail, code="idempotency_key_invalid")
    row, is_mine = _claim(Caller.of(request).principal, key, _fingerprint(request))
    return _work_once(row, work) if is_mine else _replay(row)


def _fingerprint(request: Request) -> str:
    body = orjson.dumps(request.data, default=_of_file, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(f"{request.method} {request.path}\n".encode() + body).hexdigest()


def _of_file(file: "UploadedFile[Any]") -> str:
    """What stands for an uploaded file: its bytes."""
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def _claim(principal: str, key: str, fingerprint: str) -> tuple[IdempotentAnswer, bool]:
    """The row of this key, and whether the caller shall do the work."""
    now = timezone.now()
    try:
        with transaction.atomic():
            return IdempotentAnswer.objects.create(
                principal=principal, key=key, fingerprint=fingerprint, created_at=now
            ), True
    except IntegrityError:
        row = IdempotentAnswer.objects.filter(principal=principal, key=key).first()
    if row is None:  # the other one failed just now and freed the key
        raise InFlight
    if row.created_at > now - KEPT:
        if row.fingerprint != fingerprint:
            detail = _("This Idempotency-Key was used with another body.")
            raise Unprocessable(detail, code="idempotency_key_reused")
        if row.status is not None:
            return row, False
        if row.created_at > now - ABANDONED:
            raise InFlight
    return _take_over(row, fingerprint, now), True


def _take_over(row: IdempotentAnswer, fingerprint: str, now: datetime) -> IdempotentAnswer:
    mine = IdempotentAnswer.objects.filter(pk=row.pk, created_at=row.created_at)
    if not mine.update(created_at=now, fingerprint=fingerprint, status=None, body="", headers={}):
        raise InFlight
    row.created_at = now
    return row


def _work_once(row: IdempotentAnswer, work: Callable[[], Response]) -> Response:
    mine = IdempotentAnswer.objects.filter(pk=row.pk, created_at=row.created_at, status=None)
    try:
        with transaction.atomic():
            answer = work()
            if not mine.update(
                status=answer.status_code, body=_written(answer.data), headers=_headers(answer)
            ):
                raise InFlight  # we were too slow and somebody took over: our effect is rolled back
    except BaseException:
        mine.delete()
        raise
    return answer


def _written(data: Any) -> str:
    return orjson.dumps(data, default=JSONEncoder().default).decode()


def _headers(answer: Response) -> dict[str, str]:
    return {name: answer.headers[name] for name in ("Location",) if name in answer.headers}


def _replay(row: IdempotentAnswer) -> Response:
    return Response(
        orjson.loads(row.body) if row.body else None,
        status=row.status,
        headers={**row.headers, REPLAYED: "true"},
    )
