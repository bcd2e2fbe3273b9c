"""Routes of the traffic under /api/v1/."""

from django.urls import path

from messaging.api import media, received, templates, views, welcomes

urlpatterns = [
    path("messages/", views.Messages.as_view(), name="messages"),
    path("messages/preview/", views.Preview.as_view(), name="message-preview"),
    path("messages/<str:pk>/", views.OneMessage.as_view(), name="message"),
    path("messages/<str:pk>/cancel/", views.Cancel.as_view(), name="message-cancel"),
    path("messages/<str:pk>/pause/", views.Pause.as_view(), name="message-pause"),
    path("messages/<str:pk>/resume/", views.Resume.as_view(), name="message-resume"),
    path("messages/<str:pk>/approve/", views.Approve.as_view(), name="message-approve"),
    path("messages/<str:pk>/recall/", views.Recall.as_view(), name="message-recall"),
    path("messages/<str:pk>/remind/", views.Remind.as_view(), name="message-remind"),
    path("messages/<str:pk>/stop/", views.Stop.as_view(), name="message-stop"),
    path("messages/<str:pk>/deliveries/", views.Deliveries.as_view(), name="deliveries"),
    path(
        "messages/<str:pk>/deliveries/<str:delivery_id>/resolve/",
        views.Resolve.as_view(),
        name="delivery-resolve",
    ),
    path("received-messages/", received.ReceivedMessages.as_view(), name="received-messages"),
    path("received-messages/<str:pk>/", received.OneReceivedMessage.as_view(), name="received-message"),
    path("received-messages/<str:pk>/content/", received.ReceivedContent.as_view(), name="received-content"),
    path("templates/", templates.Templates.as_view(), name="templates"),
    path("templates/<str:pk>/", templates.OneTemplate.as_view(), name="template"),
    path("welcomes/", welcomes.Welcomes.as_view(), name="welcomes"),
    path("welcomes/<str:pk>/", welcomes.OneWelcome.as_view(), name="welcome"),
    path("greetings/", welcomes.Greetings.as_view(), name="greetings"),
    path("greetings/<str:pk>/", welcomes.OneGreeting.as_view(), name="greeting"),
    path("media/", media.Media.as_view(), name="media"),
    path("media/<str:pk>/", media.OneMediaFile.as_view(), name="media-file"),
    path("media/<str:pk>/content/", media.MediaContent.as_view(), name="media-content"),
]
