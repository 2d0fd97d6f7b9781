"""The settings as a flow's parameter: what a deployment leaves out is filled in by the machine that runs it.

Notable: `sluice` on the command line has a store in the current folder. A deployed run has none: the worker's current
folder is the checkout, which a redeployment may replace.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from prefect.variables import Variable
from pydantic import BeforeValidator, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from flows.recipe.settings import RunSettings
from tasks.base.errors import UsageError

STORE_VARIABLE = "sluice_store"
"""The Prefect variable with the store of deployed runs."""
_PLACE = r"^(/|~/|[a-z][a-z0-9+.-]*://)"


def given_settings(value: Any) -> Any:
    """Return what a flow's parameter gives, with the store of the Prefect variable where it names none.

    Raises `UsageError` where there is no store, or one that depends on the worker's current folder.
    """
    if not isinstance(value, Mapping):
        return value
    store = value.get("store") or Variable.get(STORE_VARIABLE)
    if not store:
        raise UsageError(
            f"There is no store: give settings.store, or set it once for all: prefect variable set {STORE_VARIABLE}"
            " /a/folder"
        )
    if not re.match(_PLACE, str(store)):
        raise UsageError(f"The store {store!r} of a deployed run must be a full path or a URL.")
    return {**value, "store": store}


class _ForForm:
    """Gives the parameter its JSON schema: no store by default."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        store = handler.resolve_ref_schema(schema)["properties"]["store"]
        del store["default"]
        store["pattern"] = f"{_PLACE}|^$"
        store["description"] += f" Empty: that of the variable {STORE_VARIABLE}."
        return schema


SettingsParameter = Annotated[RunSettings, BeforeValidator(given_settings), _ForForm()]
"""A flow's parameter that is a `RunSettings` inside the flow."""
