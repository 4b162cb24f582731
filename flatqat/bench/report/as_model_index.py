"""Results as the metadata of model cards on the Hugging Face Hub, in YAML: `model-index`.

Source: the specification in https://github.com/huggingface/hub-docs, file modelcard.md. The newer folder
`.eval_results` takes only what was measured on datasets that the Hub has registered as benchmarks.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import flatqat
from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.sections import Section, problems, row_label
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import method_rows
from flatqat.console.printable import printable
from flatqat.console.rounded import interval
from flatqat.spec import Record

URL = "https://flatqat.github.io/flatqat"
TASKS = {
    "top1": ("image-classification", "Image Classification", "accuracy"),
    "miou": ("image-segmentation", "Image Segmentation", "mean_iou"),
}
"""The Hub's names of a suite's task and metric."""
SPLITS = {"id": "in distribution", "ood": "mean over shifts"}
DIGITS = 4
WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "null"))
"""Which YAML does not read as texts."""


def as_model_index(sections: Sequence[Section], store: Store) -> str:
    """Return an entry for each row of each section, with ID and OOD; what failed is in comments."""
    lines = [f"# {printable(line)}" for section in sections for line in problems(section)]
    entries = [
        {"name": f"{records[0].cell.model} {row_label(key)}", "results": list(_results(row, records))}
        for section in sections
        for row, (key, records) in zip(method_rows(section, store), section.rows.items(), strict=True)
    ]
    return "\n".join([*lines, *_yaml({"model-index": entries})]) + "\n"


def _results(row: Mapping[str, Any], records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """Yield the result on the ID set and, where the suite has shifts, on them."""
    cell, protocol, metric = records[0].cell, records[0].protocol, metric_of(records[0])
    task, task_name, metric_id = TASKS[metric.name]
    family, _, target = cell.suite.partition("@")
    settings = {"version": cell.suite_version, "recipe": cell.recipe}
    settings |= {f"recipe.{name}": value for name, value in cell.recipe_args}
    settings |= {"limit": cell.limit} if cell.limit else {}
    settings |= {"window": cell.window} if cell.window else {}
    settings |= {"adapt": cell.adapt} if cell.adapt else {}
    settings |= {"bfloat16": True} if cell.amp else {}
    settings |= {"weights": cell.weights} if cell.weights else {}
    for split, title in SPLITS.items():
        if (value := row[f"{split}_{metric.name}"]) is None:
            continue
        low, high = (row[f"{split}_{metric.name}_{end}"] for end in ("low", "high"))
        seeds = f"mean over {len(records)} seeds" if len(records) > 1 else "one seed"
        ends = "" if low is None else f", 95% interval {interval(low, high, '.1f')}"
        yield {
            "task": {"type": task, "name": task_name},
            "dataset": {
                "type": family,
                "name": f"{cell.suite} v{cell.suite_version}, {title}",
                **({"config": target} if target else {}),
                "split": split,
                "args": {**settings, "data": protocol.data},
            },
            "metrics": [
                {
                    "type": metric_id,
                    "value": round(value, DIGITS),
                    "name": f"{metric.title} in percent, {seeds}{ends}",
                }
            ],
            "source": {"name": f"flatqat {flatqat.__version__}", "url": URL},
        }


def _yaml(value: Any) -> Iterator[str]:
    """Yield the lines of objects, lists, texts and numbers as YAML, every text in double quotes."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if isinstance(item, Mapping | list) and item:
                yield f"{_key(name)}:"
                yield from (f"  {line}" for line in _yaml(item))
            else:
                yield f"{_key(name)}: {_scalar(item)}"
    else:
        for item in value:
            first, *others = _yaml(item)
            yield f"- {first}"
            yield from (f"  {line}" for line in others)


def _key(name: str) -> str:
    """Return a key, in quotes unless it is a plain word to every reader."""
    return name if re.fullmatch("[a-z][a-z-]+", name) and name not in WORDS else _scalar(name)


def _scalar(value: Any) -> str:
    """Return a text, number or truth value; JSON's are YAML's if nothing but quotes has to be escaped."""
    text = json.dumps(printable(value) if isinstance(value, str) else value, ensure_ascii=False)
    is_power = isinstance(value, float) and "." not in text
    return text.replace("e", ".0e") if is_power else text  # YAML 1.1 reads 1e-05 as a text
