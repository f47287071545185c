"""What is wrong with a grader, before anything is graded."""

from __future__ import annotations

import ast

from fakeai_proxy import errors
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.services.graders.formula import Formula, FormulaError
from fakeai_proxy.services.graders.naming import foreign_names, parts_of
from fakeai_proxy.services.graders.wire import Grader, LabelModel, Multi, PythonCode, ScoreModel


def check_grader(grader: Grader, path: str, catalogue: Catalogue) -> None:
    """Raises 400."""
    for name in foreign_names(grader):
        raise errors.bad_grader(
            path, f"The template variable '{name[:100]}' is neither of `item` nor of `sample`."
        )
    if isinstance(grader, Multi):
        _check_multi(grader, path, catalogue)
    elif isinstance(grader, PythonCode):
        _check_code(grader.source, path)
    elif isinstance(grader, ScoreModel | LabelModel):
        if catalogue.find(grader.model) is None:
            raise errors.bad_grader(path, f"The model '{grader.model[:100]}' does not exist.")
        if isinstance(grader, LabelModel):
            for label in grader.passing_labels:
                if label not in grader.labels:
                    raise errors.bad_grader(
                        path, f"The passing label '{label[:100]}' is not among the labels."
                    )
        elif grader.range is not None and not grader.range[0] < grader.range[1]:
            raise errors.bad_grader(path, "The range must begin below its end.")


def _check_code(source: str, path: str) -> None:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise errors.bad_grader(path, f"The source is no Python: {error}.") from None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "grade":
            return
    raise errors.bad_grader(path, "The source has no function `grade(sample, item)`.")


def _check_multi(grader: Multi, path: str, catalogue: Catalogue) -> None:
    known: set[str] = set()
    for key, part in parts_of(grader).items():
        check_grader(part, f"{path}.graders", catalogue)
        known |= {key, part.name, f"{part.name}_score", f"{part.type}_score"}
    try:
        formula = Formula(grader.calculate_output)
    except FormulaError as error:
        raise errors.bad_grader(path, f"calculate_output: {error}.") from None
    for name in sorted(formula.names - known):
        raise errors.bad_grader(path, f"calculate_output: there is no grader '{name[:100]}'.")
