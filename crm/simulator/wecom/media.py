"""Temporary media (three days) and permanent pictures."""

import re

from crm.simulator.exchange import Answer, Request
from crm.simulator.records import Media
from crm.simulator.wecom.call import Call, Refused, ok

_MEGABYTE = 1024 * 1024
_LARGEST = {"image": 10 * _MEGABYTE, "voice": 2 * _MEGABYTE, "video": 10 * _MEGABYTE, "file": 20 * _MEGABYTE}


def upload(call: Call) -> bytes:
    """POST media/upload?type=…: keep a file for three days. `created_at` is a string there, too."""
    kind = call.request.query().get("type", "")
    if kind not in _LARGEST:
        raise Refused(40004, f"type {kind}")
    media = _keep(call, kind)
    return ok(type=kind, media_id=media.media_id, created_at=str(media.created_at))


def uploadimg(call: Call) -> bytes:
    """POST media/uploadimg: keep a picture for good, answer its address."""
    media = _keep(call, "image", is_permanent=True)
    return ok(url=f"http://{call.request.header('host')}/_sim/picture/{media.media_id}")


def get(call: Call) -> Answer:
    """GET media/get: the file itself; errors come as JSON."""
    media = call.corp.media.get(call.text("media_id", missing=41006))
    if media is None or media.is_permanent or call.clock.now() - media.created_at > call.switches.media_ttl:
        raise Refused(40007)
    name = media.filename.encode("ascii", "replace").decode().replace('"', "_")
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Answer(media.data, content_type=media.content_type, headers=disposition)


def _keep(call: Call, kind: str, *, is_permanent: bool = False) -> Media:
    filename, content_type, data = _part(call.request)
    if len(data) <= 5:
        raise Refused(40006, "a file has more than 5 bytes")
    if len(data) > _LARGEST[kind]:
        raise Refused(45001)
    corp = call.corp
    media_id = f"{'pic' if is_permanent else 'media'}{corp.next_n():040d}"
    media = Media(media_id, kind, filename, content_type, data, call.clock.seconds(), is_permanent)
    corp.media[media_id] = media
    corp.changed()
    return media


def _part(request: Request) -> tuple[str, str, bytes]:
    """File name, type and bytes of the part named `media` of a multipart body; 40058 when there is none."""
    content_type = request.header("content-type")
    boundary = _parameter(content_type, "boundary")
    if not content_type.lower().startswith("multipart/form-data") or not boundary:
        raise Refused(40058, "the body must be multipart/form-data")
    for part in (b"\r\n" + request.body).split(b"\r\n--" + boundary.encode("latin-1"))[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        lines = [line.decode("utf-8", "replace") for line in head.split(b"\r\n")]
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        disposition = headers.get("content-disposition", "")
        if _parameter(disposition, "name") == "media":
            filename = _parameter(disposition, "filename") or "file"
            return filename, headers.get("content-type", "application/octet-stream"), data
    raise Refused(40058, "no part named media")


def _parameter(header: str, name: str) -> str:
    found = re.search(rf';\s*{name}=(?:"([^"]*)"|([^;]*))', header, re.IGNORECASE)
    return (found[1] or found[2] or "").strip() if found else ""
