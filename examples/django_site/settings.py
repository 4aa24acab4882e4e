"""The least that a Django project needs, and a bot."""

import os

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "only for this example")
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "examples.django_site.urls"
WSGI_APPLICATION = "examples.django_site.wsgi.application"
INSTALLED_APPS = ["pyruntime.adapters.django"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DATABASE", "site.sqlite3")}}
USE_TZ = True

RUNNER_C = {
    "TARGET": "examples.django_site.bot",
    "SECRET_TOKEN": os.environ.get("WEBHOOK_SECRET"),
    "OPTIONS": {"store": "sqlite:site.runner.db"},
    "ARGUMENTS": ["--store", "sqlite:site.runner.db"],
}
