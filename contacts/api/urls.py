"""Routes of the mirror under /api/v1/."""

from django.urls import path

from contacts.api import contacts, directory, edits, sync_runs, ways

urlpatterns = [
    path("contacts/", contacts.Contacts.as_view(), name="contacts"),
    path("contacts/<str:pk>/", contacts.OneContact.as_view(), name="contact"),
    path(
        "contacts/<str:pk>/follow-users/",
        contacts.FollowUsersOfContact.as_view(),
        name="contact-follow-users",
    ),
    path("contacts/<str:pk>/card/", edits.Card.as_view(), name="contact-card"),
    path("contacts/<str:id>/timeline/", contacts.Timeline.as_view(), name="timeline"),
    path("follow-users/", contacts.FollowUsers.as_view(), name="follow-users"),
    path("follow-users/<str:pk>/", contacts.OneFollowUser.as_view(), name="follow-user"),
    path("contact-ways/", ways.ContactWays.as_view(), name="contact-ways"),
    path("contact-ways/<str:pk>/", ways.OneContactWay.as_view(), name="contact-way"),
    path("contact-ways/<str:pk>/qr/", ways.QrCode.as_view(), name="contact-way-qr"),
    path("employees/", directory.Employees.as_view(), name="employees"),
    path("teams/", directory.Teams.as_view(), name="teams"),
    path("tags/", directory.Tags.as_view(), name="tags"),
    path("me/", directory.Me.as_view(), name="me"),
    path("sync-runs/", sync_runs.SyncRuns.as_view(), name="sync-runs"),
    path("sync-runs/<str:pk>/", sync_runs.OneSyncRun.as_view(), name="sync-run"),
    path("sync-runs/<str:pk>/confirm/", sync_runs.Confirm.as_view(), name="sync-run-confirm"),
    path("sync-runs/<str:pk>/quarantine/", sync_runs.QuarantineOfRun.as_view(), name="sync-run-quarantine"),
]
