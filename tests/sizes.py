"""How much the slow tests do: what CI demands, more for `make test-long`, or as the environment says."""

import os

CI = {
    "TEST_EXAMPLES": 200,  # generated lives of a corp, on each database
    "TEST_STEPS": 40,  # changes, runs, kills and confirmations in each
    "TEST_SCHEDULES": 100,  # generated orders of single reads and runs, on each database
    "TEST_EVENT_ORDERS": 50,  # generated orders of changes, calls and runs, on each database
    "TEST_KILLS": 100,
    "TEST_SEND_KILLS": 100,  # under a stream of messages, on each database
    "TEST_RESTARTS": 6,  # of a PostgreSQL of the test, while messages are sent
    "TEST_ROUNDS": 20,  # in which eight processes start a sync at once
}
LONG = {
    "TEST_EXAMPLES": 4000,
    "TEST_STEPS": 40,
    "TEST_SCHEDULES": 1000,
    "TEST_EVENT_ORDERS": 1000,
    "TEST_KILLS": 500,
    "TEST_SEND_KILLS": 1000,
    "TEST_RESTARTS": 60,
    "TEST_ROUNDS": 100,
}


def size(name: str) -> int:
    return int(os.environ.get(name, CI[name]))
