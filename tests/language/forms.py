"""Forms in which models write an answer; `{x}` stands for the answer."""

from __future__ import annotations

import json

SAID = {
    "bare": ("{x}", "{x}.", "{x}!", " {x} ", "\n{x}\n", "\u200b{x}"),
    "stated": (
        "The answer is {x}",
        "The correct answer is {x}.",
        "The best answer is: {x}",
        "The right option is {x}.",
        "My answer is {x}.",
        "Answer: {x}",
        "ANSWER: {x}",
        "answer:{x}",
        "Answer = {x}",
        "Final answer: {x}",
        "Final Answer:\n{x}",
        "So the answer is {x}.",
        "Thus, the final answer is {x}.",
        "Therefore, the correct choice is {x}.",
        "I think the answer is {x}.",
        "My final answer would be {x}.",
        "The answer to the question is {x}.",
        "The answer must be {x}.",
    ),
    "spoken": (
        "It is {x}.",
        "It's {x}",
        "I think it is {x}.",
        "I think it's {x}, as far as I can tell.",
        "I believe it is {x}",
        "That would be {x}.",
        "It must be {x}.",
        "I would say {x}.",
        "I'd go with {x}.",
        "I choose {x}.",
        "So it is {x}.",
    ),
    "hedged": (
        "probably {x}",
        "Probably {x}.",
        "Most likely {x}",
        "Perhaps {x}.",
        "{x}, I believe",
        "{x}, I think.",
        "{x}, probably.",
        "It is probably {x}.",
        "It is most likely {x}.",
        "I am not sure, but I think it is {x}.",
        "No doubt it is {x}.",
        "Without a doubt, {x}.",
    ),
    "reasoned": (
        "I looked at every frame.\n\n{x}",
        "The ring stays and the star moves.\nAnswer: {x}",
        "Step 1: find the star.\nStep 2: see what it is.\n\nThe answer is {x}.",
        "The star moves on, so the answer is {x}.",
        "{x}\n\nExplanation: this is what the last frame shows.",
        "{x}. This is what the last frame shows.",
        "{x}, because the last frame shows it.",
        "### Reasoning\nA star moves.\n### Answer\n{x}",
        "1. A star moves.\n2. A man walks in.\n\n**Answer:** {x}",
    ),
    "other languages": (
        "Die Antwort ist {x}.",
        "Antwort: {x}",
        "Die richtige Antwort lautet {x}.",
        "Ich glaube, es ist {x}.",
        "La réponse est {x}.",
        "Réponse : {x}",
        "Je pense que c'est {x}.",
        "La bonne réponse est {x}.",
        "La respuesta es {x}.",
        "respuesta: {x}",
        "La respuesta correcta es {x}",
        "A resposta é {x}.",
        "Resposta: {x}",
        "A resposta correta é {x}.",
        "La risposta è {x}.",
        "Risposta: {x}",
        "Het antwoord is {x}.",
        "Ответ: {x}",
        "Правильный ответ: {x}.",
        "Правильный ответ — {x}.",
        "Cevap: {x}",
        "Odpowiedź: {x}",
        "答案是{x}。",
        "答案：{x}",
        "正确答案是 {x}。",
        "正確答案為{x}",
        "我选{x}",
        "应该是{x}。",
        "正解は{x}です。",
        "答えは{x}",
        "정답은 {x}입니다.",
        "정답: {x}",
        "الإجابة هي {x}",
        "الإجابة: {x}",
        "उत्तर: {x}",
        "सही उत्तर है: {x}",
    ),
    "contrasted": (
        "It is {x}, not the ring.",
        "{x}, and not what was said before",
        "not the ring but {x}",
        "Not the ring, {x}.",
    ),
}
"""Sentences, by family."""

WRAPPED = {
    "bold": "**{x}**",
    "bold underscores": "__{x}__",
    "italics": "*{x}*",
    "code": "`{x}`",
    "block of code": "```\n{x}\n```",
    "double quotes": '"{x}"',
    "curly quotes": "\u201c{x}\u201d",
    "guillemets": "«{x}»",
    "corner brackets": "「{x}」",
    "boxed": "\\boxed{{x}}",
    "boxed text": "\\boxed{\\text{{x}}}",
    "boxed in math": "$\\boxed{{x}}$",
    "display math": "\\[\\boxed{{x}}\\]",
    "dollars": "${x}$",
    "tag": "<answer>{x}</answer>",
    "open tag": "<answer> {x}",
    "box tokens": "<|begin_of_box|>{x}<|end_of_box|>",
    "end token": "{x}<|im_end|>",
    "HTML": "<b>{x}</b>",
    "heading": "# {x}",
    "quotation": "> {x}",
    "item of a list": "- {x}",
    "thought": "<think>A or B? The ring is red, so A.</think>\n{x}",
    "thought without start": "It may be red, or A.</think>{x}",
    "thought of Kimi": "◁think▷A or B?◁/think▷{x}",
    "thought of Gemma": "<|channel>thought\nA or B?<channel|>{x}",
    "thought of gpt-oss": "<|channel|>analysis<|message|>A?<|end|><|start|>assistant"
    "<|channel|>final<|message|>{x}",
}
"""What stands around an answer, by name."""

DENIED = (
    "not {x}",
    "Not {x}.",
    "It is not {x}.",
    "It isn't {x}.",
    "it's not {x}",
    "It cannot be {x}.",
    "The answer is not {x}.",
    "The answer isn't {x}",
    "The correct answer is not {x}.",
    "Answer: not {x}",
    "definitely not {x}",
    "I don't think it is {x}.",
    "I do not believe that it is {x}.",
    "anything but {x}",
    "It is never {x}.",
    "{x} is wrong.",
    "{x} is incorrect",
    "{x} is not correct.",
    "{x} is not the answer.",
    "{x} can be ruled out.",
    "nicht {x}",
    "Die Antwort ist nicht {x}.",
    "Ce n'est pas {x}.",
    "La réponse n'est pas {x}.",
    "No es {x}.",
    "La respuesta no es {x}.",
    "Não é {x}.",
    "Non è {x}.",
    "не {x}",
    "Это не {x}.",
    "不是{x}",
    "答案不是{x}。",
    "{x}ではありません",
    "正解は{x}ではない。",
    "{x}가 아닙니다",
    "यह {x} नहीं है",
    "ليس {x}",
)
"""Sentences that say that it is anything else."""

LETTER_FORMS = ("{l}", "({l})", "[{l}]", "{l})", "{l}.", "option {l}", "Option ({l})")
"""Ways to write the letter of an option."""
BOTH_FORMS = ("{l}. {t}", "{l}) {t}", "({l}) {t}", "{l}: {t}", "{l} - {t}", "{l} ({t})", "{l}, {t}")
"""Ways to write the letter and the words of an option."""


def fill(form: str, x: str) -> str:
    """The form with an answer in its place."""
    return form.replace("{x}", x)


def as_json(x: str, key: str = "answer") -> str:
    """The answer as the value of a JSON object."""
    return json.dumps({key: x, "confidence": 0.9}, ensure_ascii=False)


def ways_to_write(letter: str, text: str) -> list[str]:
    """An option by letter, by words, and by both."""
    letters = [form.replace("{l}", letter) for form in LETTER_FORMS]
    both = [form.replace("{l}", letter).replace("{t}", text) for form in BOTH_FORMS]
    return [*letters, *both, text, text.upper(), text.capitalize(), f"the {text} one"]


CORRECTED = (
    "It is {x}, not {y}.",
    "I think it's {x}, not {y}.",
    "not {y} but {x}",
    "It is not {y} but {x}.",
    "It isn't {y}, it's {x}.",
    "It can't be {y}, so it is {x}.",
    "{x} rather than {y}",
    "{x} instead of {y}",
    "{x} and not {y}",
    "Not {y}. {x}.",
    "{y} is wrong; it is {x}.",
    "{y} is incorrect, so the answer is {x}.",
    "{y} can be ruled out, so it is {x}.",
    "Nicht {y}, sondern {x}.",
    "Ce n'est pas {y} mais {x}.",
    "No es {y} sino {x}",
    "Não é {y}, mas {x}.",
    "Не {y}, а {x}",
    "不是{y}而是{x}",
    "是{x}，不是{y}",
    "{y}ではなく{x}",
    "{y}가 아니라 {x}",
)
"""Sentences that choose {x} and deny {y}."""

AMBIGUOUS = (
    "{x} or {y}",
    "{x} and {y}",
    "{x}, {y}",
    "{x}/{y}",
    "{x} {y}",
    "{x}\n{y}",
    "either {x} or {y}",
    "both {x} and {y}",
    "It is {x} or {y}.",
    "The answer is {x} or {y}.",
    "Answer: {x}, {y}",
    "maybe {x}, maybe {y}",
    "It is {x}. It is {y}.",
    "{x} oder {y}",
    "{x} ou {y}",
    "{x} o {y}",
    "{x}或{y}",
    "{x} или {y}",
)
"""Sentences that name two."""
