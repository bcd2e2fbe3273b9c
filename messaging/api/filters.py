"""What lists of messages and deliveries can be asked for."""

import django_filters

from crm.api.filters import YesNo, moment, whole, words
from messaging.models import Delivery, Greeting, MediaFile, Message, ReceivedMessage, Template, Welcome


class MessageFilters(django_filters.FilterSet):
    corp = words("corp__corpid", about="corpid")
    state = words("state", choices=Message.State.values)
    msgtype = words("msgtype", choices=Message.Type.values)
    created_after = moment("created_at", lookup_expr="gt")


class TemplateFilters(django_filters.FilterSet):
    corp = words("corp__corpid", about="corpid")
    msgtype = words("msgtype", choices=Template.Type.values)
    is_active = YesNo("is_active")


class MediaFilters(django_filters.FilterSet):
    corp = words("corp__corpid", about="corpid")
    kind = words("kind", choices=MediaFile.Kind.values)
    is_active = YesNo("is_active")


class ReceivedFilters(django_filters.FilterSet):
    corp = words("corp__corpid", about="corpid")
    agent = words("agent__agentid", about="agentid")
    kind = words("kind", choices=ReceivedMessage.Kind.values)
    userid = words("userid", about="userid of the writer")
    received_after = moment("received_at", lookup_expr="gt")
    received_before = moment("received_at", lookup_expr="lt")


class DeliveryFilters(django_filters.FilterSet):
    state = words("state", choices=Delivery.State.values)
    contact = whole("contact_id", about="id of a contact")


class WelcomeFilters(django_filters.FilterSet):
    corp = words("corp__corpid", about="corpid")
    scope = words("scope", choices=Welcome.Scope.values)
    is_active = YesNo("is_active")


class GreetingFilters(django_filters.FilterSet):
    corp = words("corp__corpid", about="corpid")
    state = words("state", choices=Greeting.State.values)
    welcome = whole("welcome_id", about="id of a welcome message")
    contact = whole("contact_id", about="id of a contact")
    employee = words("userid", about="userid")
    created_after = moment("created_at", lookup_expr="gt")
