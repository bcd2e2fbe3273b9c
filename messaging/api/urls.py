"""Routes of the traffic under /api/v1/."""

from django.urls import path

from messaging.api import views

urlpatterns = [
    path("messages/", views.Messages.as_view(), name="messages"),
    path("messages/preview/", views.Preview.as_view(), name="message-preview"),
    path("messages/<str:pk>/", views.OneMessage.as_view(), name="message"),
    path("messages/<str:pk>/cancel/", views.Cancel.as_view(), name="message-cancel"),
    path("messages/<str:pk>/deliveries/", views.Deliveries.as_view(), name="deliveries"),
]
