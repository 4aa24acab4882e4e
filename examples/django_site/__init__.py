"""A Django site with a bot: settings, urls, the bot, and `manage.py`.

`python -m examples.django_site.manage runbot` polls; with `runserver`, or `gunicorn --workers 1 --threads 40
examples.django_site.wsgi`, Telegram posts the updates to /telegram/.
"""
