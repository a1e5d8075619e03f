"""A plugin whose stage would block the event loop."""

from livermore_core import hookimpl


@hookimpl
def ingest(context):
    pass
