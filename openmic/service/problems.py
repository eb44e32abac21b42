"""What can go wrong on the way to a running service, beside what its rooms tell of themselves."""

from __future__ import annotations

from openmic.errors import Problem, ProblemTable

PROBLEMS = ProblemTable(
    {
        "bad_setting": Problem(
            "The setting {name} cannot be used.",
            "{detail}.",
            "Correct the argument {name} or the variable {variable}; docs/settings.md says which values it takes.",
        ),
        "unknown_setting": Problem(
            "There is no setting {name}.",
            "The name is misspelt, or belongs to another version.",
            "Use one of these: {known}.",
        ),
        "english_model": Problem(
            "The model {model} cannot transcribe {language}.",
            "Models whose name ends in .en know only English.",
            "Choose the model without .en, or leave the language empty.",
        ),
        "no_bootstrap": Problem(
            "The check needs colab_bootstrap.py, which is not here.",
            "openmic was installed without the file that stands beside it in the project.",
            "Run `python colab_bootstrap.py check` in a checkout of the project.",
        ),
    }
)
