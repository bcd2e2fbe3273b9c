"""The media library: pictures and files to send, with what each was sent with."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from contacts.access import visible_corps
from contacts.admin.filters import ChoiceFilter, CorpFilter
from crm.admin_base import ScopedAdmin, actor_of
from crm.admin_cells import badge, moment, two_lines
from crm.errors import CrmError
from messaging import library
from messaging.admin.messages import author, summary_for
from messaging.admin.phone import ICONS
from messaging.downloads import download, picture
from messaging.forms import MediaFileForm, UploadForm
from messaging.models import MediaFile, Message

USES = 20  # messages a file's page names
THUMBNAIL_BYTES = 1024 * 1024  # pictures are kept as they are, so a list shows the light ones only


class KindFilter(ChoiceFilter):
    title = _("kind")
    parameter_name = "kind"
    field = "kind"
    options = MediaFile.Kind.choices


class ActiveFilter(ChoiceFilter):
    title = _("state")
    parameter_name = "active"
    field = "is_active"
    options = (("1", _("in use")), ("0", _("retired")))


@admin.register(MediaFile)
class MediaFileAdmin(ScopedAdmin):
    list_display = ("name_cell", "size_cell", "corp", "state_cell", "created_cell")
    list_filter = (KindFilter, ActiveFilter, CorpFilter)
    list_select_related = ("corp", "created_by")
    search_fields = ("name",)
    sortable_by = ()
    add_label = _("Add a file")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path(
                "<int:pk>/content/",
                wrap(self.content_view, cacheable=True),
                name="messaging_mediafile_content",
            ),
            path("<int:pk>/download/", wrap(self.download_view), name="messaging_mediafile_download"),
            *super().get_urls(),
        ]

    def list_rows(self, rows: QuerySet) -> QuerySet:
        return rows.defer("data")

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        may_add = self.has_add_permission(request)
        return {
            "title": _("No files yet"),
            "text": _("Pictures, videos and files to send again and again are kept here."),
            "buttons": [(_("Add a file"), self.url("add"))] if may_add else [],
        }

    # --- the cells
    @admin.display(description=_("name"))
    def name_cell(self, file: MediaFile) -> SafeString:
        text = two_lines(file.name, file.get_kind_display())
        return format_html('<span class="rm-person">{}{}</span>', self._thumbnail(file), text)

    def _thumbnail(self, file: MediaFile) -> SafeString:
        if file.kind == MediaFile.Kind.IMAGE and file.size <= THUMBNAIL_BYTES:
            address = self.url("content", file.pk)
            return format_html('<img class="rm-thumb" src="{}" alt="" loading="lazy">', address)
        icon = '<span class="rm-thumb material-symbols-outlined" aria-hidden="true">{}</span>'
        return format_html(icon, ICONS[file.kind])

    @admin.display(description=_("size"))
    def size_cell(self, file: MediaFile) -> str:
        return filesizeformat(file.size)

    @admin.display(description=_("state"))
    def state_cell(self, file: MediaFile) -> SafeString:
        return badge(_("in use"), "active") if file.is_active else badge(_("retired"))

    @admin.display(description=_("added"))
    def created_cell(self, file: MediaFile) -> SafeString:
        return format_html("{} · {}", author(file), moment(file.created_at))

    # --- the pages
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        corps = visible_corps(request.user).filter(is_active=True)
        is_post = request.method == "POST"
        form = UploadForm(request.POST if is_post else None, files=request.FILES or None, corps=corps)
        if is_post and form.is_valid():
            kept = form.keep(user=request.user, actor=actor_of(request))
            if kept:
                messages.success(request, _now("The file is kept."))
                return HttpResponseRedirect(self.url("change", kept.pk))
        return self.page(
            request,
            "admin/messaging/media_upload.html",
            title=_("Add a file"),
            form=form,
            back=self.url("changelist"),
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        file = self.get_visible(request, object_id)
        may_change = self.has_change_permission(request, file)
        if request.method == "POST" and not may_change:
            raise PermissionDenied
        stored = {"name": file.name, "is_active": file.is_active}
        form = MediaFileForm(request.POST if request.method == "POST" else None, initial=stored)
        if request.method == "POST" and form.is_valid():
            try:
                library.change(file, user=request.user, actor=actor_of(request), **form.cleaned_data)
            except CrmError as error:
                form.refuse(error, {"/name": "name"})
            else:
                messages.success(request, _now("Saved."))
                return HttpResponseRedirect(self.url("change", file.pk))
        uses = Message.objects.visible_to(request.user).filter(media_files=file).order_by("-pk")
        return self.page(
            request,
            "admin/messaging/media_file.html",
            title=file.name,
            obj=file,
            file=file,
            author=author(file),
            form=form if may_change else None,
            uses=[(message, summary_for(request, message)) for message in uses[:USES]],
            uses_count=file.messages.count(),
            back=self.url("changelist"),
        )

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return HttpResponseRedirect(self.url("change", self.get_visible(request, object_id).pk))

    def content_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return picture(self.get_visible(request, pk))

    def download_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return download(self.get_visible(request, pk))
