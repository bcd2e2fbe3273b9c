"""/api/v1/: the routes of both apps, the change feed, the schema and its page; all else is 404 in JSON."""

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from crm.api.exceptions import not_found
from crm.api.history import Events

app_name = "api"

urlpatterns = [
    path("", include("contacts.api.urls")),
    path("", include("messaging.api.urls")),
    path("events/", Events.as_view(), name="events"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api:schema"), name="docs"),
    # Also in debug mode, and instead of a redirect that would lose the body of a POST.
    re_path("", not_found),
]
