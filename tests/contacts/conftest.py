"""The helpers beside these tests assert as well as the tests do."""

import pytest

pytest.register_assert_rewrite("tests.contacts.house", "tests.contacts.worlds")
