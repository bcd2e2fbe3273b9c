"""How much of an uploaded file is kept on its way in."""

from typing import Final

from django.core.files.uploadhandler import FileUploadHandler

MOST_BYTES: Final = 20 * 1024 * 1024  # the largest file that any provider takes


class Truncating(FileUploadHandler):
    """No upload fills a disk: what is beyond MOST_BYTES is read and dropped, and the size then says "too large"."""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        return raw_data if start <= MOST_BYTES else None

    def file_complete(self, file_size: int) -> None:
        return None  # the next handler has the file
