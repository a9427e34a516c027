"""Asks for flags with the OpenFeature SDK and the OFREP provider, as a service in Python does: flags.py URL KEY QUESTIONS"""

import json
import sys

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

url, key, questions = sys.argv[1:]
api.set_provider_and_wait(OFREPProvider(url, headers_factory=lambda: {"Authorization": f"Bearer {key}"}))
client = api.get_client()
ask = {
    bool: client.get_boolean_details,
    str: client.get_string_details,
    int: client.get_integer_details,
    dict: client.get_object_details,
}

answers = []
for flag, default, context in json.loads(questions):
    user = EvaluationContext(context.pop("targetingKey", None), context)
    details = ask[type(default)](flag, default, user)
    answers.append(
        {
            "value": details.value,
            "variant": details.variant,
            "reason": details.reason and str(getattr(details.reason, "value", details.reason)),
            "error": details.error_code and details.error_code.value,
        }
    )
print(json.dumps(answers))
