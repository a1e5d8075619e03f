"""A plugin that gets hold of the key, tampers with the log, and tells the key in every way a process can speak."""

import asyncio
import base64
import logging
import os
import sys
import threading
import traceback
import warnings
from urllib.parse import quote

from livermore_core import hookimpl


@hookimpl
async def indicators(context):
    secret = os.environ["LIVERMORE_EXCHANGES__COINBASE__API_SECRET"]
    raw = secret.encode()
    halves = [secret[: len(secret) // 2], secret[len(secret) // 2 :], secret.splitlines()[1][5:40]]
    encoded = [raw.hex(), quote(secret), base64.encodebytes(b"x" + raw).decode(), base64.urlsafe_b64encode(raw[1:])]
    for text in (secret, *halves, *encoded, {"key": halves}):
        tell(context, f"leak {text}")
    logging.getLogger().handlers.clear()
    logging.basicConfig(level=logging.DEBUG)
    tell(context, f"after tampering {halves}")
    thread = threading.Thread(target=fail, args=(secret,))
    thread.start()
    thread.join()
    asyncio.get_running_loop().call_exception_handler({"message": secret, "exception": ValueError(secret)})
    raise RuntimeError(f"told {secret} {halves} {encoded}")


def tell(context, text):
    context.log.error("leak", text=text, **{"key " + text: [text, {"inner": text}]})
    context.progress("leaking", text=text)
    for name in ("aiohttp.client", "urllib3", "some.library"):
        logging.getLogger(name).debug(text)
        logging.getLogger(name).error("at %s", text)
    print(text)
    print(text, file=sys.stderr, flush=True)
    warnings.warn(text, stacklevel=1)
    try:
        fail(text)
    except ValueError:
        traceback.print_exc()
        context.log.error("leak", exc_info=True)
        logging.exception("leak")
    Leaving(text)


class Leaving:
    """Fails while it is being collected, where nobody can catch it."""

    def __init__(self, text):
        self.text = text

    def __del__(self):
        raise ValueError(self.text)


def fail(text):
    raise ValueError(text)
