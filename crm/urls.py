"""The addresses: /admin/  /api/v1/  /callbacks/  /healthz  /readyz."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from crm import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("crm.api.urls")),
    path("callbacks/", include("messaging.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]

handler400 = "crm.api.exceptions.bad_request"
handler403 = "crm.api.exceptions.forbidden"
handler404 = "crm.api.exceptions.not_found"
handler500 = "crm.api.exceptions.server_error"
