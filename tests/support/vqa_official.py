"""A slow, literal transcription of the official VQA scorer: the reference for `evals.tasks.vqa`.

Written from GT-Vision-Lab/VQA, PythonEvaluationTools/vqaEvaluation/vqaEval.py (a013f00 of 2021, c4e6a0e before), step
by step, sharing nothing with `evals.tasks.vqa` but the tables. Annotators are dicts, are told apart by comparing those
dicts, and are overwritten while they are scored, as there; `re.UNICODE` stands where the count of `re.sub` belongs.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

TABLES = json.loads((Path(__file__).parents[2] / "tasks" / "scoring" / "vqa_tables.json").read_text())


def annotators(answers):
    """Answers as the annotations files hold them."""
    return [{"answer": answer, "answer_confidence": "yes", "answer_id": n} for n, answer in enumerate(answers, start=1)]


def strip_layout(text):
    text = text.replace("\n", " ")
    text = text.replace("\t", " ")
    return text.strip()


def process_punctuation(text):
    result = text
    for mark in TABLES["punctuation"]:
        if (mark + " " in text or " " + mark in text) or (re.search(TABLES["comma_expression"], text) is not None):
            result = result.replace(mark, "")
        else:
            result = result.replace(mark, " ")
    return re.compile(TABLES["period_expression"]).sub("", result, int(re.UNICODE))


def process_digit_article(text):
    words = []
    for word in text.lower().split():
        word = TABLES["number_words"].get(word, word)
        if word not in TABLES["articles"]:
            words.append(word)
    for place, word in enumerate(words):
        if word in TABLES["contractions"]:
            words[place] = TABLES["contractions"][word]
    return " ".join(words)


def leave_one_out(answer, people):
    accuracies = []
    for person in people:
        others = [other for other in people if other != person]
        matching = [other for other in others if other["answer"] == answer]
        accuracies.append(min(1, float(len(matching)) / 3))
    return float(sum(accuracies)) / len(accuracies)


def score_2021(answer, people):
    for person in people:
        person["answer"] = strip_layout(person["answer"])
    answer = strip_layout(answer)
    if len({person["answer"] for person in people}) > 1:
        for person in people:
            person["answer"] = process_punctuation(person["answer"])
            person["answer"] = process_digit_article(person["answer"])
        answer = process_punctuation(answer)
        answer = process_digit_article(answer)
    return leave_one_out(answer, people)


def score_2017(answer, people):
    answer = strip_layout(answer)
    answer = process_punctuation(answer)
    answer = process_digit_article(answer)
    if len({person["answer"] for person in people}) > 1:
        for person in people:
            person["answer"] = process_punctuation(person["answer"])
    return leave_one_out(answer, people)


def score_always_normalised(answer, people):
    for person in people:
        person["answer"] = process_digit_article(process_punctuation(strip_layout(person["answer"])))
    return leave_one_out(process_digit_article(process_punctuation(strip_layout(answer))), people)


SCORERS = {
    "accuracy": score_2021,
    "accuracy-2017": score_2017,
    "accuracy-always-normalised": score_always_normalised,
}


def score(answer, answers):
    """One answer by all three rules."""
    return {name: scorer(answer, annotators(answers)) for name, scorer in SCORERS.items()}


def evaluate(predictions, annotations):
    """What the official tool prints: percent, rounded to two decimals, over all, by type and by question.

    Args:
        predictions: question ids to answers.
        annotations: the rows of an annotations file; their answers are overwritten.
    """
    by_question, by_question_type, by_answer_type = {}, {}, {}
    for row in annotations:
        accuracy = score_2021(predictions[row["question_id"]], row["answers"])
        by_question[row["question_id"]] = accuracy
        by_question_type.setdefault(row["question_type"], []).append(accuracy)
        by_answer_type.setdefault(row["answer_type"], []).append(accuracy)

    def percent(accuracies):
        return round(100 * float(sum(accuracies)) / len(accuracies), 2)

    return {
        "accuracy": {
            "overall": percent(list(by_question.values())),
            "perQuestionType": {kind: percent(accuracies) for kind, accuracies in by_question_type.items()},
            "perAnswerType": {kind: percent(accuracies) for kind, accuracies in by_answer_type.items()},
        },
        "evalQA": {str(id): round(100 * accuracy, 2) for id, accuracy in by_question.items()},
    }
