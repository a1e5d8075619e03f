"""A plugin as it should be: an exchange, and a stage that notes that it ran."""

from livermore_core import Exchange, hookimpl


@hookimpl
def register_exchanges():
    yield Exchange("good", "an exchange", ("1m", "5m"), 300, 10.0, "livermore_fake_good:open_client")


@hookimpl
async def backfill(context):
    pass
