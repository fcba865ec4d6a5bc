"""Attribution by the gradient of the class's logit with respect to the image."""

from shapebias.core.attribution.choice import Choice
from shapebias.precompute.attribution.explanation import Explanation, Question
from shapebias.precompute.attribution.subject import Subject


def gradient(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return dS/dx, summed over the colours: how the logit changes when a pixel becomes brighter."""
    _, gradients = subject.gradients(question.images, question.targets)
    return Explanation(maps=gradients.sum(1))
