"""Small bots to read and to try: `python -m runner_c examples.echo --playground`."""
