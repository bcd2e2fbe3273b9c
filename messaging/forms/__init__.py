"""The forms of what can be sent, and of the files it is made of. Counted live; the provider's rules decide."""

from messaging.forms.contents import ContentForm, NoticeForm, ResolveForm, TextForm, TimesForm
from messaging.forms.library import MediaFileForm, UploadForm
from messaging.forms.media import MEDIA_FORMS

__all__ = ["FORMS", "MEDIA_KINDS", "ContentForm", "MediaFileForm", "ResolveForm", "TimesForm", "UploadForm"]

_ALL: tuple[type[ContentForm], ...] = (TextForm, NoticeForm, *MEDIA_FORMS)
FORMS = {form.msgtype: form for form in _ALL}
MEDIA_KINDS = tuple(form.msgtype for form in MEDIA_FORMS)
