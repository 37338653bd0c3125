"""Texts that decline to answer, and answers that only look like it."""

from __future__ import annotations

import pytest

from mmreason.language.answer_reading import AnswerKind, read_answer, says_no
from mmreason.language.refusals import declines, says_absent, says_outside

REFUSALS = (
    "there is no star.",
    "There are no stars in this clip.",
    "this is outside my world.",
    "The star is not visible.",
    "not shown.",
    "I cannot see a star.",
    "The clip doesn't show a star.",
    "none",
    "It's unclear.",
    "It\u2019s unclear.",
    "N/A",
    "Not specified",
    "The video does not provide this information.",
    "Nicht gezeigt.",
    "没有显示",
    "I'm sorry, I cannot determine that.",
    "Based on the video, it is not clear what happens.",
    "Unfortunately, the clip does not show the man's face.",
    "unknown",
    "The colour is unknown.",
    "It is not possible to tell from the video.",
    "Cannot be determined",
    "The answer cannot be determined from the clip.",
    "No information is given about that.",
    "There is not enough information to answer.",
    "I don't know.",
    "I do not see any cat in the video.",
    "Not mentioned in the video",
    "The man's name is not mentioned.",
    "It is unclear whether he left.",
    "No cat is visible in the clip.",
    "No mention of it",
    "As an AI model, I can't watch videos.",
    "It does not say.",
    "Does not appear in the video.",
    "The star does not appear.",
    "The star does not appear in the video.",
    "There does not appear to be a star.",
    "There doesn't seem to be a cat.",
    "n.a.",
    "Not available.",
    "not clear",
    "None of the above",
    "Unable to determine",
    "I'm not sure.",
    "The reason is not clear.",
    "The provided frames do not contain a cat",
    "It cannot be seen",
    "It's impossible to say.",
    "not there",
    "It is not there.",
    "Das ist nicht zu sehen.",
    "Das Video zeigt das nicht.",
    "Keine Angabe",
    "Ich weiß es nicht.",
    "Unklar.",
    "Non précisé.",
    "La vidéo ne montre pas cela.",
    "Je ne sais pas.",
    "Ce n'est pas visible.",
    "No se muestra.",
    "No se especifica en el video.",
    "El video no lo muestra.",
    "Não é mostrado.",
    "Não sei.",
    "O vídeo não mostra.",
    "Non specificato",
    "Не показано.",
    "Не указано",
    "Неизвестно",
    "Нет информации",
    "В видео это не показано.",
    "视频中没有显示",
    "未提及",
    "无法确定",
    "不清楚",
    "没有提到",
    "影片沒有顯示",
    "映っていません",
    "わかりません",
    "不明",
    "示されていない",
    "알 수 없습니다",
    "나오지 않습니다",
    "غير مذكور",
    "لا أعرف",
    "नहीं दिखाया गया",
    "यह नहीं दिखाया गया है",
    "पता नहीं",
    "Not given",
    "I can't tell.",
    "The video doesn't say.",
    "The subtitles do not mention it.",
    "There isn't any dog",
    "The footage never shows the driver.",
    "Sorry, not shown",
    "Answer: not shown",
    "There is no red star visible.",
)
ANSWERS = (
    "There is no time to lose.",
    "A ring that he cannot find.",
    "He didn't see the car coming.",
    "He adds salt, but it is not clear how much.",
    "The chef does not appear to be happy, he is annoyed.",
    "The red book is not there.",
    "red",
    "no",
    "it is not moving",
    "a note on the table",
    "3",
    "0",
    "A man who is not visible to the others",
    "The video game does not start",
    "He says it is not clear.",
    "Because the door is not visible.",
    "An unknown man enters the room.",
    "The water is not clear.",
    "not yellow",
    "It is not red.",
    "No, it is open.",
    "I see a red star",
    "The man does not move",
    "Nothing to eat",
    "None the wiser",
    "There is no need to hurry.",
    "He never found the key.",
    "It does not contain sugar.",
    "Er sieht das Auto nicht.",
    "他没有看到车",
    "Он не видит машину.",
    "彼は車が見えない",
    "She cannot find her keys.",
    "He does not know the answer.",
    "The dog is not in the house",
    "a note that says not available today",
    "It isn't raining anymore",
    "They are not present at the meeting",
    "Nobody",
    "Il n'a pas peur",
    "Das Licht ist nicht an",
    "not moving",
    "Not blue but green",
    "The sign says no information is free",
    "The door does not open",
    "There's no place like home",
    "The actor who cannot be seen in the mirror",
    "A sign reading 'Nothing in the video is real'",
)


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_declines_also_in_capitals_and_in_a_wrapping(text):
    assert declines(text) and says_absent(text)
    assert declines(text.upper()) or not text.isascii()
    assert read_answer(f"<think>hm</think>**{text}**").kind is AnswerKind.ABSENT
    assert read_answer(text, ("red", "blue")).choice is None


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_with_a_negation_does_not_decline(text):
    assert not declines(text) and not says_absent(text)


def test_nothing_said_is_absent_but_no_refusal():
    assert says_absent("") and says_absent(" ...") and not declines("")
    assert read_answer("").kind is AnswerKind.UNREADABLE


@pytest.mark.parametrize(
    ("text", "question", "is_refusal"),
    [
        ("The red book is not there.", "What is missing?", False),
        ("The red book is not there.", "What colour is the red book?", True),
        ("The water is not clear.", "What is wrong with the soup?", False),
        ("The water is not clear.", "How clear is the water?", True),
        ("There is no time left.", "What does he say?", False),
        ("There are no stars.", "How many stars are there?", True),
        ("There is no sugar.", "Why does she frown?", False),
        ("There is no sugar in the video.", "Why does she frown?", True),
    ],
)
def test_the_question_decides_where_the_words_alone_cannot(text, question, is_refusal):
    assert declines(text, question) is is_refusal


def test_only_footage_of_another_kind_is_outside():
    assert says_outside("This is outside of my world.") and not says_outside("outside")


@pytest.mark.parametrize(
    "text", ["No.", "no", "No, it is open.", "Nein", "нет", "there is no star"]
)
def test_no_is_heard(text):
    assert says_no(text)


@pytest.mark.parametrize("text", ["yes", "Now", "nothing like red", "this is outside my world."])
def test_other_words_are_not_no(text):
    assert not says_no(text)
