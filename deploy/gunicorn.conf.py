"""gunicorn as we serve: threads, because a page waits for the database and not for the processor."""

import os

bind = os.environ.get("CRM_BIND", "127.0.0.1:8000")
workers = int(os.environ.get("CRM_WEB_WORKERS", "2"))
worker_class = "gthread"
threads = 8
max_requests = 5000
max_requests_jitter = 500
graceful_timeout = 10
accesslog = None
errorlog = "-"
