"""A bot in a Django project: an app with a management command, a webhook view and checks.

::

    INSTALLED_APPS = [..., "pyruntime.adapters.django"]
    RUNNER_C = {"TARGET": "shop.bot", "SECRET_TOKEN": os.environ.get("WEBHOOK_SECRET"), "OPTIONS": {"store": ...}}

`manage.py runbot` polls in a process of its own; the view `webhook` takes the updates in the site's process instead.
"""
