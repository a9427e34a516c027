#!/usr/bin/env python3
"""Makes the published vectors, from docs/FLAGS.md alone: a second implementation, sharing nothing with the crate.

    python3 crates/flags/vectors/vectors.py

Needs nothing but Python. Writes buckets.json and evaluations.json beside itself, the same bytes each time.
"""

import json
import pathlib

HERE = pathlib.Path(__file__).parent
MASK = 0xFFFFFFFF
BUCKETS = 100_000
SHARE_SEED = 0
VARIANT_SEED = 0x9747B28C


def rotl(x, r):
    return ((x << r) | (x >> (32 - r))) & MASK


def murmur3_x86_32(data, seed):
    h = seed
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = rotl(k * 0xCC9E2D51 & MASK, 15) * 0x1B873593 & MASK
        h = (rotl(h ^ k, 13) * 5 + 0xE6546B64) & MASK
    if whole < len(data):
        k = int.from_bytes(data[whole:], "little")
        h ^= rotl(k * 0xCC9E2D51 & MASK, 15) * 0x1B873593 & MASK
    h ^= len(data)
    h ^= h >> 16
    h = h * 0x85EBCA6B & MASK
    h ^= h >> 13
    h = h * 0xC2B2AE35 & MASK
    return h ^ h >> 16


def bucket(salt, value, seed=SHARE_SEED):
    return murmur3_x86_32((salt + value).encode(), seed) * BUCKETS >> 32


def thousandths(percentage):
    """25.0 is 25000. Shares are written with at most three decimals, so this is exact."""
    return round(percentage * 1000)


def evaluate(flag, key, context):
    """A flag of the plain format with conditions `equals` and `in`, variants and a split."""
    variants = flag.get("variants", {"on": True, "off": False})
    default = flag.get("default_variant", "off")

    def answer(variant, reason, error=None):
        return {"variant": variant, "value": variants[variant], "reason": reason, "error": error}

    if not flag["enabled"] or "killed" in flag:
        return answer(default, "DISABLED")
    conditions = flag.get("conditions", [])
    for c in conditions:
        wanted = [c["value"]] if c["operator"] == "equals" else [v.strip() for v in c["value"].split(",")]
        if context.get(c["type"]) not in wanted:
            return answer(default, "DEFAULT")
    whole = "TARGETING_MATCH" if conditions else "STATIC"
    share = thousandths(flag["percentage"])
    serve = flag.get("serve") or next(v for v in variants if v != default)
    if share == 0:
        return answer(default, whole)
    by = flag.get("rollout_by", "targetingKey")
    who = context.get(by)
    if share < BUCKETS or isinstance(serve, dict):
        if not isinstance(who, str) or who == "":
            if by == "targetingKey":
                return answer(default, "ERROR", "TARGETING_KEY_MISSING")
            return answer(default, "DEFAULT")
    salt = flag.get("salt", key)
    if share < BUCKETS and bucket(salt, who) >= share:
        return answer(default, "SPLIT")
    if isinstance(serve, dict):
        drawn, below = bucket(salt, who, VARIANT_SEED), 0
        for variant, part in serve.items():
            below += thousandths(part)
            if drawn < below:
                return answer(variant, "SPLIT")
    return answer(serve, "SPLIT" if share < BUCKETS else whole)


def bucket_vectors():
    salts = ["", "a", "ab", "abc", "checkout-new-tax", "enhanced_monitoring", "zahlung-für-alle", "旗"]
    values = ["", "1", "12", "123", "1234", "12345", "user-48132", "ann@example.com", "Zoë", "用户", "🚩", "x" * 100]
    pairs = [(s, v) for s in salts for v in values]
    pairs += [("experimental_cleo_optimization", f"user-{i}") for i in range(64)]
    # Where the hash is near its ends and its middle: the keys of flagd's own test bed.
    pairs += [("", v) for v in ["ejOoVL", "bY9fO-", "SI7p-", "6LvT0", "ceQdGm"]]
    return [
        {"salt": s, "value": v, "bucket": bucket(s, v), "variant_bucket": bucket(s, v, VARIANT_SEED)}
        for s, v in pairs
    ]


FLAGS = {
    "everybody": {"enabled": True, "percentage": 100.0},
    "nobody": {"enabled": True, "percentage": 0.0},
    "off": {"enabled": False, "percentage": 100.0},
    "killed": {
        "enabled": True,
        "percentage": 100.0,
        "killed": {"at": "2026-11-22", "by": "ann", "reason": "checkout fails"},
    },
    "quarter": {"enabled": True, "percentage": 25.0},
    "half-by-company": {"enabled": True, "percentage": 50.0, "rollout_by": "company"},
    "fine": {"enabled": True, "percentage": 0.125, "salt": "other"},
    "targeted": {
        "enabled": True,
        "percentage": 31.0,
        "conditions": [{"type": "country", "value": "DE, FR", "operator": "in"}],
    },
    "whole-country": {
        "enabled": True,
        "percentage": 100.0,
        "conditions": [{"type": "country", "value": "DE", "operator": "equals"}],
    },
    "texts": {
        "enabled": True,
        "percentage": 40.0,
        "variants": {"blue": "#00f", "green": "#0f0"},
        "default_variant": "green",
    },
    "experiment": {
        "enabled": True,
        "percentage": 60.0,
        "variants": {"a": 1, "b": 2, "c": 3, "none": 0},
        "default_variant": "none",
        "serve": {"a": 33.333, "b": 33.333, "c": 33.334},
    },
}


def evaluation_vectors():
    contexts = [{"targetingKey": f"user-{i}", "country": ["DE", "FR", "PL"][i % 3]} for i in range(40)]
    contexts += [{"targetingKey": f"user-{i}", "company": f"c{i}"} for i in range(10)]
    contexts += [{}, {"targetingKey": ""}, {"country": "DE"}, {"country": "de", "targetingKey": "Zoë"}]
    return {
        "flags": FLAGS,
        "cases": [
            {"key": key, "context": context, "answer": evaluate(flag, key, context)}
            for key, flag in FLAGS.items()
            for context in contexts
        ],
    }


def write(name, data):
    (HERE / name).write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write("buckets.json", bucket_vectors())
    write("evaluations.json", evaluation_vectors())
