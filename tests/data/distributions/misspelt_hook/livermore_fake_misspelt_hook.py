"""A plugin with a typing mistake: without a check it would silently never run."""

from livermore_core import hookimpl


@hookimpl
async def backfil(context):
    pass
