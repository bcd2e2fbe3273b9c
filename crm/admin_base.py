"""The one base of every admin: reach on each query, no delete, an allow-list of lookups, pages that count cheaply."""

from typing import Any

from django.contrib.admin import ShowFacets
from django.core.paginator import EmptyPage, Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from crm import roles
from crm.models import Corp


class CappedPaginator(Paginator):
    """Counts at most CAP rows (0.9 ms instead of 45 ms at a million); beyond that pages turn without a total."""

    CAP = 10_000
    template_name = "admin/pagination_capped.html"

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return rows.order_by().values("pk")[: self.CAP + 1].count()

    @property
    def is_capped(self) -> bool:
        return self.count > self.CAP

    def validate_number(self, number: Any) -> int:
        try:
            return super().validate_number(number)
        except EmptyPage:
            if self.is_capped and number > 0:
                return int(number)
            raise

    def page(self, number: Any) -> Any:
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        rows: Any = self.object_list
        return self._get_page(rows[start : start + self.per_page], number, self)  # type: ignore[attr-defined]


class ScopedChangeList(ChangeList):
    """A list whose admin may load what the cells of one page need (`load_rows`), in a fixed number of queries."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet:
        return self.model_admin.list_rows(super().get_queryset(request, *args, **kwargs))

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.model_admin.load_rows(
            request, list(self.result_list)
        )  # evaluated once; the queryset keeps its rows
        self.has_next = (self.page_num * self.list_per_page) < self.result_count or (
            self.paginator.is_capped and len(self.result_list) == self.list_per_page
        )
        if not self.result_list:
            own = self.model_admin.empty_state
            waits = self.model_admin.waits_for_corp and not Corp.objects.exists()
            self.empty_state = first_step(request) if waits else own(request)


class ScopedAdmin(ModelAdmin):
    """Every admin of this product. A subclass says its columns; who sees which rows is decided here.

    Rows come from `reach`, so lists, details, actions, choices and autocompletes of foreign keys agree.
    """

    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # a count per choice is a query per choice
    paginator = CappedPaginator
    list_filter_submit = True
    list_fullwidth = True
    compressed_fields = True
    warn_unsaved_form = True
    waits_for_corp = True  # without a corp there can be no rows: the empty list says how to connect one
    lookups: tuple[str, ...] = ()  # query parameters allowed beside those of the filters
    add_label: Any = ""

    # --- the reach
    def reach(self, request: HttpRequest, rows: QuerySet) -> QuerySet:
        return rows.visible_to(request.user)  # type: ignore[attr-defined]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return self.reach(request, super().get_queryset(request))

    def get_visible(self, request: HttpRequest, pk: Any) -> Any:
        """The row `pk`, or 404 whether it is missing or out of reach."""
        if not self.has_view_permission(request):
            raise Http404
        row = self.get_object(request, str(pk))
        if row is None:
            raise Http404
        return row

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> HttpResponse:
        raise Http404(f"no {opts.model_name} {object_id} within reach")

    # --- choices of foreign keys, as narrow as the lists
    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        related = self.admin_site._registry.get(db_field.remote_field.model)
        if "queryset" not in kwargs and isinstance(related, ScopedAdmin):
            kwargs["queryset"] = related.get_queryset(request)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        related = self.admin_site._registry.get(db_field.remote_field.model)
        if "queryset" not in kwargs and isinstance(related, ScopedAdmin):
            kwargs["queryset"] = related.get_queryset(request)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    # --- what may stand in the query string: a lookup on a hidden column is an oracle (guarantees F6)
    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        allowed = set(self.lookups)
        for item in self.get_list_filter(request):
            if isinstance(item, tuple):
                allowed.add(f"{item[0]}__exact")
            else:
                allowed.add(item.parameter_name)
        return lookup in allowed

    # --- nothing is deleted here
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    # --- lists
    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ScopedChangeList

    def list_rows(self, rows: QuerySet) -> QuerySet:
        """What the list adds to the rows (annotations, prefetches)."""
        return rows

    def load_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        """Attach to the rows of one page what their cells show."""

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        """What an empty list says: title, text, and buttons as (label, address) pairs."""
        return {"title": _("Nothing here yet"), "text": "", "buttons": []}

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = self.opts.verbose_name_plural
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    # --- pages of our own inside the admin's frame
    def page(
        self, request: HttpRequest, template: str, *, title: Any, obj: Any = None, **context: Any
    ) -> TemplateResponse:
        request.current_app = self.admin_site.name
        frame = {
            **self.admin_site.each_context(request),
            "title": title,
            "heading": title,
            "opts": self.opts,
            "original": obj,
            "model_admin": self,
            "has_view_permission": True,
        }
        return TemplateResponse(request, template, {**frame, **context})

    def confirm_page(
        self, request: HttpRequest, *, title: Any, text: Any, button: Any, **context: Any
    ) -> HttpResponse:
        """The question before an effect: a GET shows it, the POST of its form does the thing."""
        return self.page(
            request,
            "admin/confirm.html",
            title=title,
            text=text,
            button=button,
            **{"tone": "primary", **context},
        )

    def url(self, name: str, *args: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{name}", args=args)


class ReadOnlyAdmin(ScopedAdmin):
    """A mirror or a record: looked at, never edited here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OversightMixin:
    """Rows that have no finer reach than the role: administrators and auditors see all, others none."""

    def reach(self, request: HttpRequest, rows: QuerySet) -> QuerySet:
        return rows if roles.role_of(request.user) in {roles.ADMINISTRATOR, roles.AUDITOR} else rows.none()


CONNECT = "python manage.py connect wecom --corpid ww… --agentid 1000002 --secret-env WECOM_SECRET"


def first_step(request: HttpRequest) -> dict[str, Any]:
    """What every page says as long as no corp is connected, in the form of `empty_state`."""
    if not request.user.has_perm("crm.add_corp"):
        return {
            "title": _("No corp is connected yet"),
            "text": _("An administrator connects the company; then one sync brings its contacts here."),
            "buttons": [],
        }
    return {
        "title": _("Connect your company first"),
        "text": _(
            "Enter corp id, agent id and secret in the form, or run the command; then press Sync now."
            " Contacts appear here page by page."
        ),
        "command": CONNECT,
        "buttons": [(_("Connect a corp"), reverse("admin:crm_corp_add"))],
    }


def is_administrator(request: HttpRequest) -> bool:
    return roles.role_of(request.user) == roles.ADMINISTRATOR


def actor_of(request: HttpRequest) -> str:
    """The actor string of the person at the browser (crm.events)."""
    return f"user:{request.user.get_username()}"[:64]
