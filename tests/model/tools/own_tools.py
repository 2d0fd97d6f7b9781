"""Tools of a user's own."""

import os
import time

from model.tools.tool import Tool


def _slow(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


def _printing(text: str) -> str:
    print("this is no answer")
    return text * 1000


SLOW = Tool("slow", "Wait.", {"seconds": "number"}, _slow)
PRINTING = Tool("printing", "Repeat.", {"text": "string"}, _printing)
DYING = Tool("dying", "End.", {}, lambda: os._exit(1))
FAILING = Tool("failing", "Fail.", {}, lambda: str(1 // 0))
