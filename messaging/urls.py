"""/callbacks/<agent uuid>/"""

from django.urls import path

from messaging import views

urlpatterns = [path("<str:address>/", views.callback, name="callback")]
